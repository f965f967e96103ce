using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;

namespace OrleansCache.Grains.Hosting.Security;

/// <summary>What the end that opened a connection is.</summary>
internal enum PeerKind : byte
{
    /// <summary>A silo: Orleans's messages follow.</summary>
    Silo = 1,

    /// <summary>A gateway that runs alone: Orleans's messages follow.</summary>
    Gateway = 2,

    /// <summary>Only asks whether a member of the same cluster listens here.</summary>
    Probe = 3,

    /// <summary>A silo at another one's seed port: messages about the membership follow.</summary>
    Seed = 5,

    /// <summary>A silo: frames of a link follow (LinkFormat).</summary>
    Link = 6,
}

/// <summary>The other end is no member of this cluster, or could not be asked.</summary>
internal sealed class HandshakeException(string message, bool mayRetry = false) : Exception(message)
{
    /// <summary>What listens there speaks another protocol.</summary>
    public bool IsStranger { get; init; }

    /// <summary>The machine is there, and nobody listens.</summary>
    public bool IsRefused { get; init; }

    /// <summary>The name has no address, by now.</summary>
    public bool IsUnresolved { get; init; }

    /// <summary>The other end may just be starting or stopping.</summary>
    public bool MayRetry => mayRetry;
}

/// <summary>
/// Both ends of a connection prove to each other that they know the cluster's secret and mean the same cluster, before a byte of Orleans is read. Without
/// a secret it only tells clusters and versions apart.
/// <code>
/// frame:      "OCCL" | version u8 = 1 | kind u8 | 6 bytes 0 | nonce 32         (44 bytes; the kind is 0 in the answer)
/// initiator -> frame I
/// acceptor  -> frame A
/// initiator -> HMAC-SHA256(K, "initiator" | I | A)
/// acceptor  -> HMAC-SHA256(K, "acceptor"  | I | A)
/// K = HMAC-SHA256(secret, "orleanscache cluster 1" | cluster id)
/// </code>
/// The initiator proves itself first, so that a stranger who connects gets nothing that a guessed secret could be tried on. Neither proof can be replayed
/// (both nonces are in it) or reflected (the end's name is in it). Bounded: 76 bytes from either end and <see cref="Timeout"/>.
/// Non-goals: secrecy and integrity of what follows (TLS gives them), telling one member from another.
/// </summary>
internal sealed class ClusterHandshake
{
    public const int FrameBytes = 44;
    public const int ProofBytes = 32;
    private const byte Version = 1;
    private const int NonceBytes = 32;

    private readonly byte[] _key;

    public ClusterHandshake(string clusterId, ReadOnlySpan<byte> secret) =>
        _key = HMACSHA256.HashData(secret, Encoding.UTF8.GetBytes("orleanscache cluster 1\0" + clusterId));

    /// <summary>For the whole of it.</summary>
    public static TimeSpan Timeout { get; } = TimeSpan.FromSeconds(5);

    private static ReadOnlySpan<byte> Magic => "OCCL"u8;

    /// <summary>The end that opened the connection. Throws <see cref="HandshakeException"/> unless the other one is a member of the cluster.</summary>
    public async Task InitiateAsync(IDuplexPipe pipe, PeerKind kind, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Timeout);
        try
        {
            byte[] mine = Frame(kind);
            await pipe.Output.WriteAsync(mine, limit.Token);
            byte[] answer = await ReadAsync(pipe.Input, FrameBytes, hasMagic: true, limit.Token)
                ?? throw new HandshakeException("closed the connection", mayRetry: true);
            CheckVersion(answer);
            await pipe.Output.WriteAsync(Proof("initiator", mine, answer), limit.Token);
            byte[] proof = await ReadAsync(pipe.Input, ProofBytes, hasMagic: false, limit.Token) ?? throw new HandshakeException(Mismatch);
            if (!CryptographicOperations.FixedTimeEquals(proof, Proof("acceptor", mine, answer)))
                throw new HandshakeException(Mismatch);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HandshakeException($"did not answer within {Timeout.TotalSeconds:0} s", mayRetry: true);
        }
        catch (IOException exception)
        {
            throw new HandshakeException(exception.Message, mayRetry: true);
        }
    }

    /// <summary>
    /// The end that was connected to. Throws <see cref="HandshakeException"/> unless the other one is a member of the cluster. Null if <paramref
    /// name="admit"/> turned it away by what it says, or if it left without a word.
    /// </summary>
    public async Task<PeerKind?> AcceptAsync(IDuplexPipe pipe, Func<PeerKind, bool> admit, CancellationToken cancellationToken)
    {
        using CancellationTokenSource limit = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limit.CancelAfter(Timeout);
        try
        {
            byte[]? theirs = await ReadAsync(pipe.Input, FrameBytes, hasMagic: true, limit.Token);
            if (theirs is null)
                return null;
            CheckVersion(theirs);
            PeerKind kind = (PeerKind)theirs[5];
            if (!admit(kind))
                return null;
            byte[] mine = Frame(default);
            await pipe.Output.WriteAsync(mine, limit.Token);
            byte[] proof = await ReadAsync(pipe.Input, ProofBytes, hasMagic: false, limit.Token)
                ?? throw new HandshakeException("closed the connection", mayRetry: true);
            if (!CryptographicOperations.FixedTimeEquals(proof, Proof("initiator", theirs, mine)))
                throw new HandshakeException(Mismatch);
            await pipe.Output.WriteAsync(Proof("acceptor", theirs, mine), limit.Token);
            return kind;
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw new HandshakeException($"did not finish within {Timeout.TotalSeconds:0} s");
        }
        catch (IOException exception)
        {
            throw new HandshakeException(exception.Message, mayRetry: true);
        }
    }

    private static string Mismatch => "has another secret (--cluster-secret-file) or belongs to another cluster (--cluster-id)";

    private static byte[] Frame(PeerKind kind)
    {
        byte[] frame = new byte[FrameBytes];
        Magic.CopyTo(frame);
        frame[4] = Version;
        frame[5] = (byte)kind;
        RandomNumberGenerator.Fill(frame.AsSpan(FrameBytes - NonceBytes));
        return frame;
    }

    private static void CheckVersion(byte[] frame)
    {
        if (frame[4] != Version)
            throw new HandshakeException($"speaks version {frame[4]} of the handshake, this node version {Version}");
    }

    private byte[] Proof(string end, byte[] initiatorFrame, byte[] acceptorFrame) =>
        HMACSHA256.HashData(_key, (byte[])[.. Encoding.ASCII.GetBytes(end), .. initiatorFrame, .. acceptorFrame]);

    /// <summary>
    /// Takes so many bytes and no more; null if the other end closed instead. What does not begin as a frame is refused with its first byte.
    /// </summary>
    private static async ValueTask<byte[]?> ReadAsync(PipeReader reader, int count, bool hasMagic, CancellationToken cancellationToken)
    {
        while (true)
        {
            ReadResult result = await reader.ReadAsync(cancellationToken);
            ReadOnlySequence<byte> buffer = result.Buffer;
            if (hasMagic && !BeginsAsFrame(buffer))
            {
                reader.AdvanceTo(buffer.Start);
                throw new HandshakeException("is no node of OrleansCache, or one without this handshake") { IsStranger = true };
            }

            if (buffer.Length >= count)
            {
                byte[] bytes = buffer.Slice(0, count).ToArray();
                reader.AdvanceTo(buffer.GetPosition(count));
                return bytes;
            }

            reader.AdvanceTo(buffer.Start, buffer.End);
            if (result.IsCompleted || result.IsCanceled)
                return null;
        }
    }

    private static bool BeginsAsFrame(ReadOnlySequence<byte> buffer)
    {
        Span<byte> start = stackalloc byte[4];
        int length = (int)Math.Min(buffer.Length, Magic.Length);
        buffer.Slice(0, length).CopyTo(start);
        return start[..length].SequenceEqual(Magic[..length]);
    }
}

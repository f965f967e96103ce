using OrleansCache.Gateway.Buffers;
using OrleansCache.Protocol.Binary;
using OrleansCache.Protocol.Meta;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// A storage command whose data block has not fully arrived. Its buffer grows with what has arrived, by doubling up to the announced size. Pooled by the
/// loop.
/// </summary>
internal sealed unsafe class IncomingValue
{
    /// <summary>A block that misses at least this much is worth receiving in place.</summary>
    public const int DirectBytesMin = 4096;

    private const int FirstBytesMax = 64 * 1024;
    private const int DirectBytesMax = 256 * 1024;

    private readonly byte[] _key = new byte[Limits.KeyBytesMax];
    private NativeBuffer _buffer = null!;
    private int _keyLength;
    private int _bytes;

    // What is known of an ms.
    private CacheOperation _operation;
    private RequestFlags _flags;
    private uint _expiresAt, _createExpiresAt;
    private ulong _newCas;

    public TextVerb Verb { get; private set; }
    public bool NoReply { get; private set; }
    public uint ClientFlags { get; private set; }
    public long Exptime { get; private set; }
    public ulong Cas { get; private set; }

    public bool IsMeta => Verb == TextVerb.Meta;

    public MetaReplyForm MetaForm { get; private set; }

    public ReadOnlySpan<byte> Key => _key.AsSpan(0, _keyLength);

    /// <summary>Of a binary packet, as is the opaque; its block has no CRLF.</summary>
    public BinaryOpcode Opcode { get; private set; }
    public uint Opaque { get; private set; }

    /// <summary>The block with its CRLF, as far as it is here.</summary>
    public ReadOnlySpan<byte> Block => _buffer.Span;

    /// <summary>Bytes still to come, CRLF included.</summary>
    public int Missing => _bytes - _buffer.Length;

    public IncomingValue? NextFree { get; set; }

    public void Begin(ChunkPool pool, in TextCommand command)
    {
        Begin(pool, command.ValueLength + 2, command.Key);
        Verb = command.Verb;
        NoReply = command.NoReply;
        ClientFlags = command.ClientFlags;
        Exptime = command.Exptime;
        Cas = command.Cas;
    }

    public void Begin(ChunkPool pool, in BinaryCommand command)
    {
        Begin(pool, command.ValueLength, command.Key);
        Opcode = command.Opcode;
        Opaque = command.Opaque;
        ClientFlags = command.ClientFlags;
        Exptime = command.Exptime;
        Cas = command.Cas;
    }

    public void Begin(ChunkPool pool, in MetaCommand command, in CacheRequest request, in MetaReplyForm form)
    {
        Begin(pool, command.ValueLength + 2, command.Key);
        Verb = TextVerb.Meta;
        MetaForm = form;
        ClientFlags = request.ClientFlags;
        Cas = request.CompareCas;
        _operation = request.Operation;
        _flags = request.Flags;
        _expiresAt = request.ExpiresAt;
        _createExpiresAt = request.CreateExpiresAt;
        _newCas = request.NewCas;
    }

    /// <summary>The request that <see cref="Begin(ChunkPool, in MetaCommand, in CacheRequest, in MetaReplyForm)"/> was given, but for the value.</summary>
    public CacheRequest ToRequest(KeyHasher hasher) => new()
    {
        Operation = _operation,
        Flags = _flags,
        Key = Key,
        KeyHash = hasher.Compute(Key),
        ClientFlags = ClientFlags,
        CompareCas = Cas,
        NewCas = _newCas,
        ExpiresAt = _expiresAt,
        CreateExpiresAt = _createExpiresAt,
    };

    public int Append(byte* source, int count)
    {
        int taken = Math.Min(count, Missing);
        _buffer.Append(source, taken);
        return taken;
    }

    /// <summary>Whether so many more bytes need a larger buffer, and by how much it would grow.</summary>
    public bool MustGrow(int bytes, out int growth)
    {
        int length = _buffer.Length + Math.Min(bytes, Missing);
        growth = (int)Math.Max(length, Math.Min(_bytes, 2L * _buffer.Capacity)) - _buffer.Capacity;
        return length > _buffer.Capacity;
    }

    public void GetTarget(out byte* target, out int bytes)
    {
        if (_buffer.Capacity - _buffer.Length < Math.Min(Missing, DirectBytesMin))
            _buffer.EnsureCapacity((int)Math.Min(_bytes, 2L * _buffer.Capacity));
        target = _buffer.Data + _buffer.Length;
        bytes = Math.Min(Math.Min(Missing, _buffer.Capacity - _buffer.Length), DirectBytesMax);
    }

    /// <summary>True when the block is whole.</summary>
    public bool Commit(int bytes)
    {
        _buffer.Length += bytes;
        return Missing == 0;
    }

    private void Begin(ChunkPool pool, int bytes, ReadOnlySpan<byte> key)
    {
        _bytes = bytes;
        _buffer = pool.RentBuffer(Math.Min(bytes, FirstBytesMax));
        _keyLength = key.Length;
        key.CopyTo(_key);
    }

    public void End(ChunkPool pool)
    {
        pool.ReturnBuffer(_buffer);
        _buffer = null!;
    }
}

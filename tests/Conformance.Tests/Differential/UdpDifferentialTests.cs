using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Xunit.Abstractions;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// The same datagrams to a real memcached and to the server under test, one worker each, so that the replies come in order. Behind each request goes a
/// `version` under another id: what comes before its reply is the request's, also if that is nothing.
/// Left out, because memcached's own UDP connection is lost or stuck afterwards: values that are too large, data blocks that do not end in their datagram,
/// over-long keys, watch, metadump. Explained differences: memcached answers each command of a datagram, and each hit of a multi-get, with a message of its own
/// under the same id, where doc/protocol.txt promises one message with the whole response; and quit, or a multi-get's misses, with a message of no datagrams.
/// Compared is therefore what the datagrams say together, and where the response is one reply to one command each head, too.
/// </summary>
public sealed class UdpDifferentialTests(ITestOutputHelper output)
{
    private const int Datagrams = 1500;
    private const int MarkerId = 0x8000;

    [PeerFact("memcached")]
    public async Task RandomDatagramsAreAnsweredAlike()
    {
        int seed = TestSeed.Next();
        output.WriteLine($"seed {seed}");
        (int referencePort, int testedPort) = (TestPorts.Next(), TestPorts.Next());
        await using ServerProcess reference =
            await ServerProcess.StartAsync(ServerKind.Memcached, "-t", "1", "-U", ServerUnderTest.Invariant(referencePort), "-o", "no_modern");
        await using ServerProcess tested = await ServerProcess.StartAsync("-t", "1", "-U", ServerUnderTest.Invariant(testedPort));
        using Socket referenceSocket = Connect(referencePort), testedSocket = Connect(testedPort);

        var random = new Random(seed);
        for (int i = 0; i < Datagrams; i++)
        {
            (string payload, bool isOneReply) = Next(random);
            bool isFragment = random.Next(20) == 0;
            byte[] datagram = Frame(payload, i, random.Next(8) == 0 ? random.Next(65536) : 0, isFragment
                ? random.Next(2) * random.Next(2, 65536) : 1, random.Next(65536));

            List<byte[]> expected = await AskAsync(referenceSocket, datagram);
            List<byte[]> actual = await AskAsync(testedSocket, datagram);

            string where = $"seed {seed}, datagram {i}: {payload[..Math.Min(payload.Length, 100)]}";
            Assert.True(Join(expected) == Join(actual), $"{where}\nmemcached: {Join(expected)}\nhere: {Join(actual)}");
            if (isOneReply)
                Assert.True(expected.Select(Head).SequenceEqual(actual.Select(Head)),
                    $"{where}\nmemcached: {string.Join(' ', expected.Select(Head))}\nhere: {string.Join(' ', actual.Select(Head))}");
        }
    }

    private static (string Payload, bool IsOneReply) Next(Random random)
    {
        string key = $"k{random.Next(12)}";
        int bytes = random.Next(10) == 0 ? random.Next(20_000) : random.Next(60);
        string value = new((char)('a' + random.Next(26)), bytes);
        string noReply = random.Next(6) == 0 ? " noreply" : "";
        string verb = (string[])["set", "add", "replace", "append", "prepend"] is var verbs ? verbs[random.Next(verbs.Length)] : "";
        return random.Next(16) switch
        {
            0 or 1 or 2 => ($"{(bytes > 60 ? "set" : verb)} {key} {random.Next(100)} 0 {bytes}{noReply}\r\n{value}\r\n", noReply.Length == 0),
            3 or 4 => ($"get {key}\r\n", true),
            5 => ($"get {key} k{random.Next(12)} k{random.Next(12)}\r\n", false),
            6 => ($"delete {key}{noReply}\r\n", true),
            7 => ($"set c{random.Next(3)} 0 0 1\r\n5\r\n", true),
            8 => ($"incr c{random.Next(3)} {random.Next(1000)}\r\n", true),
            9 => ($"touch {key} {random.Next(1000)}\r\n", true),
            10 => ($"get {key}\r\nget k{random.Next(12)}\r\n", false),
            11 => ($"mg {key} v f s k O{random.Next(1000)}\r\n", true),
            12 => ($"get {key}\r\nget {key}"[..^random.Next(1, 4)], true),
            13 => (Binary(0x0a, "", random), true),
            14 => (Binary(0x0c, $"b{random.Next(5)}", random), true),
            _ => (Binary(0x11, $"b{random.Next(5)}", random), true),
        };
    }

    /// <summary>Noop, getk of a key that nobody stores, and a quiet set that succeeds: replies without CAS numbers.</summary>
    private static string Binary(byte opcode, string key, Random random)
    {
        bool isSet = opcode == 0x11;
        byte[] head = new byte[24];
        head[0] = 0x80;
        head[1] = opcode;
        head[3] = (byte)key.Length;
        head[4] = (byte)(isSet ? 8 : 0);
        head[11] = (byte)(key.Length + (isSet ? 8 : 0));
        BinaryPrimitives.WriteInt32BigEndian(head.AsSpan(12), random.Next());
        return Encoding.Latin1.GetString(head) + (isSet ? new string('\0', 8) + key.Replace('b', 'q') : key);
    }

    private static Socket Connect(int port)
    {
        var socket = new Socket(AddressFamily.InterNetwork, SocketType.Dgram, ProtocolType.Udp) { ReceiveBufferSize = 1 << 20 };
        socket.Connect(new IPEndPoint(IPAddress.Loopback, port));
        return socket;
    }

    private static byte[] Frame(string payload, int id, int sequence, int total, int reserved)
    {
        byte[] datagram = new byte[8 + payload.Length];
        BinaryPrimitives.WriteUInt16BigEndian(datagram, (ushort)id);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(2), (ushort)sequence);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(4), (ushort)total);
        BinaryPrimitives.WriteUInt16BigEndian(datagram.AsSpan(6), (ushort)reserved);
        Encoding.Latin1.GetBytes(payload, datagram.AsSpan(8));
        return datagram;
    }

    private static async Task<List<byte[]>> AskAsync(Socket socket, byte[] datagram)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(10));
        await socket.SendAsync(datagram, patience.Token);
        await socket.SendAsync(Frame("version\r\n", MarkerId, 0, 1, 0), patience.Token);
        var replies = new List<byte[]>();
        byte[] buffer = new byte[65536];
        while (true)
        {
            int length = await socket.ReceiveAsync(buffer, patience.Token);
            if (BinaryPrimitives.ReadUInt16BigEndian(buffer) == MarkerId)
                return replies;

            // A message without datagrams is none.
            if (length > 8)
                replies.Add(buffer[..length]);
        }
    }

    private static string Join(List<byte[]> replies) => string.Concat(replies.Select(static reply => Encoding.Latin1.GetString(reply.AsSpan(8))));

    private static string Head(byte[] reply) => Convert.ToHexString(reply.AsSpan(0, 8));
}

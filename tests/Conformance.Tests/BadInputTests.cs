using System.Text;

namespace OrleansCache.Conformance;

/// <summary>
/// Bytes that no good client sends. Each case is sent over a connection of its own, which then ends its direction; the whole reply must be one that a
/// memcached 1.6 gives (where its versions differ, either). The server lives on: a neighbour connection is asked after every case.
/// </summary>
public sealed class BadInputTests(ServerFixture fixture) : IClassFixture<ServerFixture>
{
    private const string BadFormat = "CLIENT_ERROR bad command line format\r\n";
    private const string BadChunk = "CLIENT_ERROR bad data chunk\r\n";
    private const string BadDelta = "CLIENT_ERROR invalid numeric delta argument\r\n";
    private const string BadTime = "CLIENT_ERROR invalid exptime argument\r\n";
    private const string NotNumeric = "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
    private const string TooLarge = "SERVER_ERROR object too large for cache\r\n";
    private const string Error = "ERROR\r\n";
    private const string Stored = "STORED\r\n";
    private const string End = "END\r\n";

    private static readonly string s_key250 = new('k', 250);
    private static readonly string s_key251 = new('k', 251);
    private static readonly string s_mebibyte = new('x', 1024 * 1024);

    private static readonly Dictionary<string, (string Input, string[] Replies)> s_cases = new()
    {
        // Lines that are no command
        ["empty line"] = ("\r\n", [BadFormat, Error]),
        ["bare line feed"] = ("\n", [BadFormat, Error]),
        ["only spaces"] = ("   \r\n", [Error]),
        ["unknown command"] = ("hello world\r\n", [Error]),
        ["upper case"] = ("GET a\r\n", [Error]),
        ["a line of 1500 bytes"] = (new string('x', 1500) + "\r\n", [Error]),
        ["very many words"] = ("set " + string.Join(' ', Enumerable.Repeat("word", 100)) + "\r\n", [BadFormat, Error]),
        ["an HTTP request"] = ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", [""]),
        ["all bytes"] = (new string([.. Enumerable.Range(1, 255).Where(b => b != '\n').Select(b => (char)b)]) + "\r\n", [Error]),

        // Commands with too little or nonsense
        ["get without key"] = ("get\r\n", [BadFormat, Error]),
        ["gets without key"] = ("gets\r\n", [BadFormat, Error]),
        ["gat without key"] = ("gat 10\r\n", [BadFormat, End]),
        ["gat with a bad time"] = ("gat x a\r\n", [BadTime]),
        ["set without anything"] = ("set\r\n", [BadFormat, Error]),
        ["set without length"] = ("set a 0 0\r\n", [BadFormat, Error]),
        ["set with a negative length"] = ("set a 0 0 -1\r\n", [BadFormat]),
        ["set with a length that is no number"] = ("set a 0 0 x\r\n", [BadFormat]),
        ["set with a length of twenty digits"] = ("set a 0 0 99999999999999999999\r\n", [BadFormat]),
        ["set with a length of 2^31"] = ("set a 0 0 2147483648\r\n", [BadFormat]),
        ["set with a length of 2^31-1"] = ("set a 0 0 2147483647\r\n", [BadFormat]),
        ["set with bad flags"] = ("set a x 0 1\r\nb\r\nget a\r\n", [BadFormat + End, BadFormat + Error + End]),
        ["set with a bad time"] = ("set a 0 x 1\r\nb\r\nget a\r\n", [BadFormat + End, BadFormat + Error + End]),
        ["cas with a bad number"] = ("cas a 0 0 1 x\r\nb\r\nget a\r\n", [BadFormat + End, BadFormat + Error + End]),
        ["delete without key"] = ("delete\r\n", [BadFormat, Error]),
        ["incr without delta"] = ("incr a\r\n", [BadFormat, Error]),
        ["incr by a word"] = ("set a 0 0 1\r\n1\r\nincr a x\r\n", [Stored + BadDelta]),
        ["incr by a negative number"] = ("set a 0 0 1\r\n1\r\nincr a -1\r\n", [Stored + BadDelta]),
        ["incr by 2^64"] = ("set a 0 0 1\r\n1\r\nincr a 18446744073709551616\r\n", [Stored + BadDelta]),
        ["incr of a word"] = ("set a 0 0 1\r\nx\r\nincr a 1\r\n", [Stored + NotNumeric]),
        ["incr of 21 digits"] = ("set a 0 0 21\r\n123456789012345678901\r\nincr a 1\r\n", [Stored + NotNumeric]),
        ["touch without time"] = ("touch a\r\n", [BadFormat, Error]),
        ["touch with a bad time"] = ("touch a x\r\n", [BadTime]),
        ["flush_all with a bad time"] = ("flush_all x\r\n", [BadTime]),
        ["verbosity with a word"] = ("verbosity x\r\n", [BadFormat]),
        ["stats of nonsense"] = ("stats nonsense\r\n", [Error]),

        // Keys
        ["get of a key of 251 bytes"] = ($"get {s_key251}\r\n", [BadFormat, BadFormat + "\r\n"]),
        // memcached drops the unsent replies of the whole segment here, that of the set too; nobody needs to follow it in that.
        ["multi-get with a key of 251 bytes"] = ($"set a 0 0 1\r\nb\r\nget a {s_key251} a\r\n",
            [Stored + BadFormat, Stored + BadFormat + "\r\n", BadFormat, BadFormat + "\r\n"]),
        ["set of a key of 251 bytes"] = ($"set {s_key251} 0 0 1\r\nb\r\nget a\r\n", [BadFormat + End, BadFormat + Error + End]),
        ["delete of a key of 251 bytes"] = ($"delete {s_key251}\r\n", [BadFormat]),
        ["incr of a key of 251 bytes"] = ($"incr {s_key251} 1\r\n", [BadFormat]),
        ["touch of a key of 251 bytes"] = ($"touch {s_key251} 1\r\n", [BadFormat]),
        ["a key of 250 bytes is fine"] = ($"set {s_key250} 0 0 1\r\nb\r\nget {s_key250}\r\ndelete {s_key250}\r\n",
            [$"{Stored}VALUE {s_key250} 0 1\r\nb\r\n{End}DELETED\r\n"]),
        ["a key of control characters is fine"] = ("set a\u0001\u0002 0 0 1\r\nx\r\nget a\u0001\u0002\r\n", [$"{Stored}VALUE a\u0001\u0002 0 1\r\nx\r\n{End}"]),
        ["a key beyond ASCII is fine"] = ("set \u00fc\u00ff 0 0 1\r\nx\r\nget \u00fc\u00ff\r\n", [$"{Stored}VALUE \u00fc\u00ff 0 1\r\nx\r\n{End}"]),

        // Data blocks
        ["a block longer than its length"] = ("set a 0 0 1\r\nbc\r\nget a\r\n", [BadChunk + Error + End, BadChunk + BadFormat + End]),
        ["a block shorter than its length"] = ("set a 0 0 5\r\nbc\r\nget a\r\n", [BadChunk + Error]),
        ["a block that ends in a bare line feed"] = ("set a 0 0 1\r\nb\nget a\r\n", [BadChunk + Error]),
        ["a block of another command"] = ("set a 0 0 7\r\nget b\r\n\r\nget a\r\n", [$"{Stored}VALUE a 0 7\r\nget b\r\n\r\n{End}"]),
        ["lines that end in a bare line feed are fine"] = ("set a 0 0 1\nb\r\nget a\n", [$"{Stored}VALUE a 0 1\r\nb\r\n{End}"]),
        ["one mebibyte is too large"] = ($"set a 0 0 1\r\nb\r\nset a 0 0 1048576\r\n{s_mebibyte}\r\nget a\r\n", [Stored + TooLarge + End]),
        ["too large and noreply"] = ($"set a 0 0 1\r\nb\r\nset a 0 0 1048576 noreply\r\n{s_mebibyte}\r\nget a\r\n", [Stored + End]),
        ["append beyond the limit"] = ($"set a 0 0 1000000\r\n{s_mebibyte[..1_000_000]}\r\nappend a 0 0 100000\r\n{s_mebibyte[..100_000]}\r\nverbosity 1\r\n",
            [Stored + "NOT_STORED\r\nOK\r\n", Stored + TooLarge + "OK\r\n", Stored + "SERVER_ERROR out of memory storing object\r\nOK\r\n"]),

        // Cut off
        ["a command cut in the middle"] = ("get a", [""]),
        ["a data block cut in the middle"] = ("set a 0 0 10\r\nabc", [""]),
        ["a data block cut before its last byte"] = ("set a 0 0 3\r\nabc\r", [""]),
        ["a command cut after complete ones"] = ("set a 0 0 1\r\nb\r\nget a\r\nget", [$"{Stored}VALUE a 0 1\r\nb\r\n{End}"]),
    };

    public static TheoryData<string> CaseNames { get; } = [.. s_cases.Keys];

    [Theory]
    [MemberData(nameof(CaseNames))]
    public async Task BadInputIsAnsweredLikeMemcachedAnswersIt(string name)
    {
        (string input, string[] replies) = s_cases[name];
        using RawClient neighbour = fixture.Server.Connect();
        await neighbour.CommandAsync("delete a");

        using (RawClient client = fixture.Server.Connect())
        {
            await client.SendAsync(input);
            client.EndSending();
            string reply = await client.ReadToEndAsync();
            Assert.True(replies.Contains(reply), $"Expected {string.Join(" or ", replies.Select(Quoted))}\nbut got  {Quoted(reply)}\n{fixture.Server.Output}");
        }
        Assert.StartsWith("VERSION ", await neighbour.CommandAsync("version"), StringComparison.Ordinal);
    }

    /// <summary>The same commands must be answered the same way however TCP cuts them.</summary>
    [Theory]
    [MemberData(nameof(CaseNames))]
    public async Task BadInputInSegmentsOfOneByteIsAnsweredTheSame(string name)
    {
        (string input, string[] replies) = s_cases[name];
        if (input.Length > 10_000)
        {
            // A mebibyte byte by byte takes too long: its beginning and its end suffice.
            await SendInPiecesAsync(name, input, replies, 200, input.Length - 200);
            return;
        }
        await SendInPiecesAsync(name, input, replies, input.Length, input.Length);
    }

    /// <summary>A line that never ends does not fill the memory: the connection is closed.</summary>
    [Fact]
    public async Task AnEndlessLineClosesTheConnection()
    {
        using RawClient client = fixture.Server.Connect();
        await client.SendAsync(new string('x', 64 * 1024));
        // What is said before closing is memcached's own matter; that it closes is not. A reset while sending is a close as well.
        string reply = await client.ReadToEndAsync();
        Assert.DoesNotContain("VALUE", reply, StringComparison.Ordinal);
    }

    /// <summary>A get may be longer than any buffer of the server.</summary>
    [Fact]
    public async Task AGetOfTwentyThousandKeysIsAnswered()
    {
        using RawClient client = fixture.Server.Connect();
        for (int number = 0; number < 20_000; number += 1000)
            Assert.Equal("STORED", await client.SetAsync($"long-{number:d5}", $"{number}"));
        await client.SendAsync("get " + string.Join(' ', Enumerable.Range(0, 20_000).Select(number => $"long-{number:d5}")) + "\r\n");
        for (int number = 0; number < 20_000; number += 1000)
        {
            await client.ExpectLineAsync($"VALUE long-{number:d5} 0 {$"{number}".Length}");
            await client.ExpectLineAsync($"{number}");
        }
        await client.ExpectLineAsync("END");
    }

    /// <summary>Random pieces of protocol and random bytes: every connection ends, and the server still tells right from wrong.</summary>
    [Fact]
    public async Task RandomNonsenseLeavesTheServerAsItWas()
    {
        int seed = TestSeed.Next();
        var random = new Random(seed);
        string[] pieces =
        [
            "get ", "gets ", "gat ", "set ", "add ", "cas ", "append ", "incr ", "decr ", "delete ", "touch ", "verbosity ", "version", "stats ", "a ", "b ",
            "0 ", "1 ",
            "-1 ", "10 ", "99999999999 ", "noreply", "\r\n", "\r\n", "\r\n", "\n", "\r", " ", "\0", s_key251, "value", "quit",
        ];
        using RawClient neighbour = fixture.Server.Connect();
        Assert.Equal("STORED", await neighbour.SetAsync("kept-through-nonsense", "whole"));
        for (int connection = 0; connection < 300; connection++)
        {
            var input = new StringBuilder();
            for (int count = random.Next(1, 60); count > 0; count--)
                input.Append(random.Next(20) == 0
                    ? new string([.. Enumerable.Range(0, 20).Select(_ => (char)random.Next(256))]) : pieces[random.Next(pieces.Length)]);
            // A first byte of 0x80 would speak the binary protocol.
            if (input[0] >= 0x80)
                input[0] = 'x';
            using RawClient client = fixture.Server.Connect();
            await client.SendAsync(input.ToString());
            client.EndSending();
            string reply = await client.ReadToEndAsync();
            Assert.False(reply.Contains("Exception", StringComparison.Ordinal), $"seed {seed}, connection {connection}: {Quoted(reply)}");
        }
        string? kept = await neighbour.GetTextAsync("kept-through-nonsense");
        Assert.True(kept == "whole", $"seed {seed}: {kept}\n{fixture.Server.Output}");
        Assert.DoesNotContain("   at ", fixture.Server.Output, StringComparison.Ordinal);
    }

    private async Task SendInPiecesAsync(string name, string input, string[] replies, int singleBytes, int from)
    {
        using RawClient neighbour = fixture.Server.Connect();
        await neighbour.CommandAsync("delete a");
        using RawClient client = fixture.Server.Connect();
        byte[] bytes = Encoding.Latin1.GetBytes(input);
        try
        {
            for (int index = 0; index < singleBytes; index++)
                await client.SendAsync(bytes.AsMemory(index, 1));
            if (from > singleBytes)
                await client.SendAsync(bytes.AsMemory(singleBytes, from - singleBytes));
            for (int index = Math.Max(from, singleBytes); index < bytes.Length; index++)
                await client.SendAsync(bytes.AsMemory(index, 1));
            client.EndSending();
        }
        catch (System.Net.Sockets.SocketException) when (replies.Contains(""))
        {
            // The server closed in the middle of what it does not want to hear.
        }
        string reply = await client.ReadToEndAsync();
        Assert.True(replies.Contains(reply),
            $"{name}: expected {string.Join(" or ", replies.Select(Quoted))}\nbut got  {Quoted(reply)}\n{fixture.Server.Output}");
    }

    private static string Quoted(string text)
    {
        string quoted = text.Replace("\r", "\\r", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);
        return quoted.Length <= 600 ? $"`{quoted}`" : $"`{quoted[..300]}` ... `{quoted[^300..]}` ({text.Length} characters)";
    }
}

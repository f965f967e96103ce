using System.Globalization;
using System.Net.Sockets;
using System.Text;
using Xunit.Abstractions;

namespace OrleansCache.Conformance.Differential;

/// <summary>
/// The same logins and commands to a memcached with -Y and to the server under test, over many connections: attempts of every form, in any pieces, then, behind
/// a right login, commands. Left out is what docs/security.md lists as different, and, with a memcached before 1.6.45, what that one added: see is1645. A wrong
/// password is answered late here and closes the connection the third time: few are sent, by few connections at a time.
/// </summary>
public sealed class LoginDifferentialTests(ITestOutputHelper output)
{
    private const int Streams = 4;
    private const int ConnectionsPerStream = 60;
    private const int WrongPasswordsPerStream = 4;

    // Shorter than what ServerProcess waits, so that a failure names the step.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(10);

    [PeerFact("memcached")]
    public async Task RandomLoginsAreAnsweredAlike()
    {
        int seed = TestSeed.Next();
        using var files = new TestCertificates();
        string passwords = files.Path("passwords");
        await File.WriteAllTextAsync(passwords, "ann:secret\nbob:pass:word\ncleo:\n");
        await using ServerProcess reference = await ServerProcess.StartGuardedAsync(ServerKind.Memcached, null, "-t", "1", "-o", "no_modern", "-Y", passwords);
        await using ServerProcess tested = await ServerProcess.StartGuardedAsync("-Y", passwords);

        bool is1645;
        using (RawClient client = reference.Connect())
        {
            Assert.Equal("STORED", await client.SetAsync("login", "ann secret"));
            is1645 = await client.CommandAsync("get") != "ERROR";
        }

        output.WriteLine($"seed {seed}, reference {(is1645 ? "" : "not ")}of 1.6.45");
        await Task.WhenAll(Enumerable.Range(0, Streams).Select(stream => CompareAsync(reference, tested, seed, stream, is1645)));
    }

    private static async Task CompareAsync(ServerProcess reference, ServerProcess tested, int seed, int stream, bool is1645)
    {
        var random = new Random(unchecked(seed + stream));
        int wrongPasswords = 0;
        for (int i = 0; i < ConnectionsPerStream; i++)
        {
            using RawClient referenceClient = reference.Connect(), testedClient = tested.Connect();
            referenceClient.Timeout = testedClient.Timeout = s_patience;
            int wrongHere = 0;
            var told = new StringBuilder();
            for (State state = State.LoggedOut; state != State.Closed;)
            {
                bool mayBeWrong = wrongHere < 2 && wrongPasswords < WrongPasswordsPerStream;
                Step step = state == State.LoggedOut ? BeforeLogin(random, is1645, mayBeWrong) : AfterLogin(random, stream);
                if (step.IsWrongPassword)
                {
                    wrongHere++;
                    wrongPasswords++;
                }

                string[] pieces = Cut(step.Sent, random);
                told.Append(CultureInfo.InvariantCulture, $"\n  {string.Join('|', pieces.Select(Show))}");
                Task<string> expected = AskAsync(referenceClient, pieces, step.Then), actual = AskAsync(testedClient, pieces, step.Then);
                Assert.True(await expected == await actual,
                    $"seed {seed}, stream {stream}, connection {i}:{told}\nmemcached: {Show(await expected)}\nhere: {Show(await actual)}");
                state = step.Then;
            }
        }
    }

    private static async Task<string> AskAsync(RawClient client, string[] pieces, State then)
    {
        try
        {
            foreach (string piece in pieces)
                await client.SendAsync(piece);
            return await ReadAsync(client, then);
        }
        catch (SocketException) when (then == State.Closed)
        {
            return ""; // Closed before the last piece.
        }
        catch (RawClientException failure)
        {
            // With the reply of the other side beside it.
            return failure.Message;
        }
    }

    private static async Task<string> ReadAsync(RawClient client, State then)
    {
        switch (then)
        {
            case State.LoggedOut:
                return await client.ReadLineAsync();
            case State.Closed:
                return await client.ReadToEndAsync();
            default:
                var replies = new StringBuilder();
                while (await client.ReadLineAsync() is var line && line != "MN")
                    replies.Append(line.StartsWith("VERSION ", StringComparison.Ordinal) ? "VERSION" : line).Append('\n');
                return replies.ToString();
        }
    }

    private static Step BeforeLogin(Random random, bool is1645, bool mayBeWrong)
    {
        string key = Pick(random, "login", "k0", "\u00ff\u0001", new string('L', 200));
        switch (random.Next(mayBeWrong ? 20 : 18))
        {
            case < 4:
                return new Step(Pick(
                    random, "version", "get k0", "gets a b c", "stats", "stats settings", "stats reset", "mg k0 v", "ms k0 2", "flush_all", "delete k0",
                    "incr k0 1", "touch k0 0",
                    "refresh_certs", "shutdown", "watch fetchers", "lru_crawler metadump all", "verbosity 1", "SET k 0 0 10", "add k 0 0 10", "cas k 0 0 10 1",
                    "sets k0 0 0 ten", "\u0080\u0081\u0082\u0083\u0084\u0085",
                    "get " + new string('k', 1000)) + "\r\n");
            case < 7:
                return new Step($"set {key} 0 0 {Pick(random, "ten", "-1", "10x", "x10", "9999999999999999x")}\r\n");
            case 7:
                return new Step(Pick(random, "set k0\r\n", "set k0 0\r\n", "set k0 0 0\r\n", "set k0 0 0 \r\n"));
            case 8:
                return Login(random, key, Pick(random, "annsecret", "", "\u0001", "ann\tsecret", new string('a', 300)));
            case 9:
                return new Step($"set {key} 0 0 10\r\nann secret{Pick(random, "xy", "\nx", "\r\r", "  ")}");
            case 10 when is1645:
                return new Step($"set {key} 0 0 {Pick(random, "16385", "70000", "4294967295")}\r\n");
            case 11 when is1645:
                return new Step(Pick(random, "get\r\n", "mn\r\n", "quit\r\n", "set\r\n"), State.Closed);
            case 12:
                return new Step(new string('x', 3000), State.Closed);
            case < 18:
                Step login = Login(random, key, Pick(random, is1645
                    ? ["ann secret", "bob pass:word", "ann secret", "cleo "] : ["ann secret", "bob pass:word"])) with { Then = State.LoggedIn };
                return login with { Sent = login.Sent + (random.Next(2) == 0 ? "get login\r\nmn\r\n" : "mn\r\n") };
            default:
                return Login(random, key, Pick(random, "ann wrong", "eve secret", "ann secre", "ann secrets", "an secret", "bob pass", "Ann secret",
                    "bob pass:wor\u00ff")) with { IsWrongPassword = true };
        }
    }

    private static Step Login(Random random, string key, string token) =>
        new($"set {key} {Pick(random, "0", "77", "x")} {Pick(random, "0", "-1", "100")} {token.Length}{Pick(random, "", "", " noreply", " ")}\r\n{token}\r\n");

    private static Step AfterLogin(Random random, int stream)
    {
        if (random.Next(8) == 0)
            return new Step("quit\r\n", State.Closed);
        var commands = new StringBuilder();
        for (int i = random.Next(1, 5); i > 0; i--)
        {
            // Every stream has its own keys: they run side by side.
            string key = string.Create(CultureInfo.InvariantCulture, $"s{stream}-{random.Next(3)}");
            string value = Pick(random, "ann secret", "ann wrong", "7", "", "set login 0 0 10");
            commands.Append(random.Next(9) switch
            {
                < 3 => $"{Pick(random, "set", "add", "replace", "append")} {key} 5 0 {ServerUnderTest.Invariant(value.Length)}\r\n{value}\r\n",
                < 5 => $"get {key}\r\n",
                5 => $"delete {key}\r\n",
                6 => $"touch {key} 0\r\n",
                7 => $"mg {key} v s\r\n",
                _ => "version\r\n",
            });
        }

        return new Step(commands.Append("mn\r\n").ToString(), State.LoggedIn);
    }

    /// <summary>Mostly whole, otherwise in two or three pieces.</summary>
    private static string[] Cut(string text, Random random)
    {
        if (random.Next(3) > 0 || text.Length < 3)
            return [text];
        int first = random.Next(1, text.Length - 1);
        int second = random.Next(first + 1, text.Length);
        return [text[..first], text[first..second], text[second..]];
    }

    private static string Pick(Random random, params string[] from) => from[random.Next(from.Length)];

    private static string Show(string text) =>
        (text.Length > 200 ? $"{text[..200]}... ({text.Length})" : text)
            .Replace("\r", "\\r", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal);

    /// <summary>What a connection is after a step, which says how far its reply goes: a line, up to MN, to the end.</summary>
    private enum State
    {
        LoggedOut,
        LoggedIn,
        Closed,
    }

    private sealed record Step(string Sent, State Then = State.LoggedOut, bool IsWrongPassword = false);
}

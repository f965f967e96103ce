using System.Net;
using System.Net.Sockets;
using System.Text;
using OrleansCache.HitRatio.Replay;
using OrleansCache.HitRatio.Traces;

namespace OrleansCache.HitRatio.Tests.Replay;

public sealed class ReplayerTests
{
    private static readonly ulong[] Keys = [1, 2, 3, 2, 2, 4, 1, 5, 6, 3];

    [Theory]
    [InlineData(1)]
    [InlineData(4)]
    public async Task EveryRequestAfterAKeysFirstHitsWhereNothingIsEvicted(int depth)
    {
        using var server = new DictionaryServer();
        Task<ReplayResult> replay = Task.Run(() => Replayer.Run(Workload(), server.EndPoint, depth));
        List<string> commands = await server.ServeAsync();
        ReplayResult result = await replay;

        Assert.Equal((10, 4, 5, 2), (result.Count.Requests, result.Count.Hits, result.Count.SecondHalfRequests, result.Count.SecondHalfHits));
        Assert.Equal(0, result.FailedSets);
        Assert.Equal("dictionary", result.Stats["version"]);
        Assert.Equal(10, commands.Count(command => command.StartsWith("get ", StringComparison.Ordinal)));
        Assert.Equal(6, commands.Count(command => command.StartsWith("set ", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task AtADepthOfOneASetStandsBetweenItsGetAndTheNextOne()
    {
        using var server = new DictionaryServer();
        Task<ReplayResult> replay = Task.Run(() => Replayer.Run(Workload(), server.EndPoint, depth: 1));
        List<string> commands = await server.ServeAsync();
        await replay;
        Assert.Equal(
            ["get 1", "set 1", "get 2", "set 2", "get 3", "set 3", "get 2", "get 2", "get 4", "set 4", "get 1", "get 5", "set 5", "get 6", "set 6", "get 3",
                "stats"],
            commands);
    }

    [Fact]
    public async Task ASetThatTheServerRefusesIsCounted()
    {
        using var server = new DictionaryServer { RefusesSets = true };
        Task<ReplayResult> replay = Task.Run(() => Replayer.Run(Workload(), server.EndPoint, depth: 1));
        await server.ServeAsync();
        ReplayResult result = await replay;
        Assert.Equal(0, result.Count.Hits);
        Assert.Equal(10, result.FailedSets);
        Assert.Equal("SERVER_ERROR out of memory storing object", result.FirstFailure);
    }

    private static Workload Workload() => new(Trace.From("t", Keys, Keys.Length), ValueSizes.Parse("lognormal", 1, 1), HitRatio.Traces.Workload.KeyBytesMin);

    /// <summary>One connection, a dictionary that forgets nothing.</summary>
    private sealed class DictionaryServer : IDisposable
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);

        public DictionaryServer() => _listener.Start();

        public bool RefusesSets { get; init; }

        public IPEndPoint EndPoint => (IPEndPoint)_listener.LocalEndpoint;

        public void Dispose() => _listener.Dispose();

        /// <summary>Serves until the client leaves; the commands in order, "get KEY" and "set KEY" with the key's number.</summary>
        public async Task<List<string>> ServeAsync()
        {
            using TcpClient client = await _listener.AcceptTcpClientAsync();
            await using NetworkStream stream = client.GetStream();
            using var reader = new StreamReader(stream, Encoding.ASCII);
            var values = new Dictionary<string, string>();
            var commands = new List<string>();
            while (await reader.ReadLineAsync() is { } line)
            {
                string[] fields = line.Split(' ');
                commands.Add(fields.Length == 1 ? line : $"{fields[0]} {fields[1][2..].TrimStart('0')}");
                await stream.WriteAsync(Encoding.ASCII.GetBytes(await ReplyAsync(fields)));
            }

            return commands;

            async Task<string> ReplyAsync(string[] fields)
            {
                if (fields[0] == "stats")
                    return "STAT version dictionary\r\nEND\r\n";
                if (fields[0] == "get")
                    return values.TryGetValue(fields[1], out string? found) ? $"VALUE {fields[1]} 0 {found.Length}\r\n{found}\r\nEND\r\n" : "END\r\n";
                string value = (await reader.ReadLineAsync())!;
                if (RefusesSets)
                    return "SERVER_ERROR out of memory storing object\r\n";
                values[fields[1]] = value;
                return value.Length == int.Parse(fields[4], System.Globalization.CultureInfo.InvariantCulture)
                    ? "STORED\r\n" : "CLIENT_ERROR bad data chunk\r\n";
            }
        }
    }
}

using System.Globalization;
using System.Text;

namespace OrleansCache.Ownership.Tests.Routing;

/// <summary>
/// The whole way of a request (direct path, hold, lane, batch, executor, gate, store) against a model of what each client may see, under one seed: gates
/// close and open between any two operations, partitions move with their items, tables are stale, replies are long, calls fail before or after they took
/// effect.
/// <para>
/// The model: a client is the only one to use its keys, so it knows what each holds but for its writes that ended in an error: those took effect in their
/// place in the order, or never. It keeps every value that is possible by its replies; a reply that fits none of them, or a final value that is none of
/// them, is an error.
/// </para>
/// </summary>
public sealed class OrderModelTests
{
    [Fact]
    public void WhatEachClientSeesIsTheOrderOfItsOwnCommands()
    {
        int seed = TestSeed.Next();
        for (int run = 0; run < LongTests.Count(60); run++)
            Run(seed, run);
    }

    private static void Run(int seed, int run)
    {
        var random = new Random(unchecked((seed * 397) ^ run));
        string context = $"seed {seed}, run {run}";
        using var cluster = new ModelCluster(random);
        List<Client> clients = [.. cluster.Channels.Concat(cluster.Channels).Select((channel, number) => new Client(number, channel, random))];
        for (int step = 0; step < 1500; step++)
        {
            Client client = clients[random.Next(clients.Count)];
            for (int pipelined = random.Next(1, 12); pipelined > 0; pipelined--)
                client.Ask();
            if (random.Next(2) == 0)
                client.Channel.Channel.Flush();
            for (int events = random.Next(6); events > 0; events--)
                cluster.Step(faults: true);
        }

        cluster.Settle();
        for (int step = 0; step < 50_000 && clients.Exists(client => !client.IsAnswered); step++)
            cluster.Step(faults: false);
        foreach (Client client in clients)
        {
            Assert.True(client.IsAnswered, $"{context}: client {client.Number} has no answer to everything");
            client.Check(cluster, context);
        }

        Assert.True(clients.Sum(client => client.Done) > 5_000, $"{context}: only {clients.Sum(client => client.Done)} commands were carried out");
    }

    /// <summary>One connection: sends commands for its own keys, and remembers command and reply in the order of the commands.</summary>
    private sealed class Client(int number, ModelChannel channel, Random random)
    {
        private readonly List<Command> _commands = [];
        private int _written;

        public int Number => number;

        public ModelChannel Channel => channel;

        public bool IsAnswered => _commands.TrueForAll(command => command.Replies > 0);

        public int Done => _commands.Count(command => command.Status != CacheStatus.Unavailable);

        public void Ask()
        {
            CacheOperation operation = random.Next(8) switch
            {
                0 or 1 or 2 => CacheOperation.Set,
                3 => CacheOperation.Append,
                4 => CacheOperation.Add,
                5 => CacheOperation.Delete,
                _ => CacheOperation.Get,
            };
            string value = operation is CacheOperation.Get or CacheOperation.Delete ? "" : string.Create(CultureInfo.InvariantCulture, $"{_written++},");
            var command = new Command(operation, string.Create(CultureInfo.InvariantCulture, $"c{number}-{random.Next(6)}"), value);
            _commands.Add(command);
            byte[] key = Encoding.ASCII.GetBytes(command.Key);
            var request = new CacheRequest
            {
                Operation = operation,
                Flags = operation == CacheOperation.Get ? RequestFlags.ReturnValue : RequestFlags.None,
                Key = key,
                KeyHash = ModelCluster.Hasher.Compute(key),
                Value = Encoding.ASCII.GetBytes(value),
            };
            if (!channel.Channel.TryExecute(in request, 1, command))
                channel.Channel.Send(in request, command);
        }

        public void Check(ModelCluster cluster, string context)
        {
            foreach (IGrouping<string, Command> ofKey in _commands.GroupBy(command => command.Key))
            {
                HashSet<string?> possible = [null];
                List<string> history = [];
                foreach (Command command in ofKey)
                {
                    Assert.True(command.Replies == 1, $"{context}: {command} has {command.Replies} replies");
                    HashSet<string?> next = command.Status == CacheStatus.Unavailable ? [.. possible] : [];
                    foreach (string? before in possible)
                    {
                        (CacheStatus status, string? after) = command.Apply(before);
                        if (command.Status == CacheStatus.Unavailable || (status == command.Status && (command.Read is null || command.Read == before)))
                            next.Add(after);
                    }

                    history.Add($"{command}, before it {string.Join(" or ", possible.Take(4).Select(value => value ?? "nothing"))}");
                    Assert.True(next.Count > 0, $"{context}: {ofKey.Key}\n{string.Join('\n', history.TakeLast(12))}");
                    possible = next;
                }

                string? final = cluster.Read(ofKey.Key);
                string allowed = string.Join(" or ", possible.Take(4).Select(value => value ?? "nothing"));
                Assert.True(
                    possible.Contains(final), $"{context}: {ofKey.Key} is {final ?? "nothing"}, possible {allowed}\n{string.Join('\n', history.TakeLast(12))}");
            }
        }
    }

    /// <summary>What was asked, and what came back.</summary>
    private sealed class Command(CacheOperation operation, string key, string value) : ReplySink
    {
        public string Key => key;

        public int Replies { get; private set; }

        public CacheStatus Status { get; private set; }

        /// <summary>The value that a get found.</summary>
        public string? Read { get; private set; }

        public override void OnReply(in CacheReply reply)
        {
            Replies++;
            Status = reply.Status;
            if (operation != CacheOperation.Get || reply.Status != CacheStatus.Ok)
                return;
            byte[] bytes = new byte[reply.Value.Length];
            reply.Value.CopyTo(bytes);
            Read = Encoding.ASCII.GetString(bytes);
        }

        /// <summary>The status and the value behind it, where the value was this before.</summary>
        public (CacheStatus Status, string? After) Apply(string? before) => operation switch
        {
            CacheOperation.Set => (CacheStatus.Ok, value),
            CacheOperation.Append => before is null ? (CacheStatus.NotStored, null) : (CacheStatus.Ok, before + value),
            CacheOperation.Add => before is null ? (CacheStatus.Ok, value) : (CacheStatus.NotStored, before),
            CacheOperation.Delete => (before is null ? CacheStatus.NotFound : CacheStatus.Ok, null),
            _ => (before is null ? CacheStatus.NotFound : CacheStatus.Ok, before),
        };

        public override string ToString() => $"{operation} {key} {value} -> {Status} {Read}";
    }
}

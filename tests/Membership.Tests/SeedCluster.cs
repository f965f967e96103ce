using System.Collections.Concurrent;

namespace OrleansCache.Membership.Tests;

/// <summary>A store in memory that counts, and fails when it is told to.</summary>
internal sealed class MemoryStore : ISeedStore
{
    public Guid Identity { get; } = Guid.NewGuid();

    public ReadOnlyMemory<byte> Record { get; private set; }

    public int Saves { get; private set; }

    public string? Failure { get; set; }

    public void Save(ReadOnlySpan<byte> record)
    {
        if (Failure is { } failure)
            throw new IOException(failure);
        Saves++;
        Record = record.ToArray();
    }
}

/// <summary>Seed servers in this process, and a transport to them without sockets.</summary>
internal sealed class SeedCluster : ISeedTransport, IDisposable
{
    public const string ClusterId = "test";

    /// <summary>What is to succeed does so on a busy machine as well.</summary>
    private static readonly RegisterClientOptions Patient = new() { RoundTimeout = TimeSpan.FromSeconds(10), OperationTimeout = Wait.TimeMax };

    private readonly ConcurrentDictionary<SeedAddress, SeedServer> _servers = [];

    public ConcurrentDictionary<SeedAddress, MemoryStore> Stores { get; } = [];

    public ConcurrentDictionary<SeedAddress, string> Down { get; } = [];

    public ConcurrentQueue<(SeedAddress Seed, SeedRequestKind Kind)> Asked { get; } = [];

    public ConcurrentQueue<string> Log { get; } = [];

    public static SeedAddress Address(int number) => new($"seed{number}", 11111);

    /// <summary>A cluster of so many seeds, and a client that has made it.</summary>
    public static async Task<(SeedCluster Cluster, RegisterClient Client)> StartAsync(int seeds)
    {
        var cluster = new SeedCluster();
        SeedId first = cluster.Start(1);
        Assert.True(await cluster.Server(1).TryFoundAsync(first.Address, ClusterId));
        RegisterClient client = cluster.Client();
        for (int i = 2; i <= seeds; i++)
        {
            SeedId next = cluster.Start(i);
            RegisterSnapshot now = await client.ReadAsync();
            Assert.True((await client.TryChangeSeedsAsync(now.Version, SeedChange.Adding(next))).Written);
        }

        await cluster.SettleAsync(seeds, (await client.ReadAsync()).Version);
        return (cluster, client);
    }

    /// <summary>A call returns when a majority has answered; the others get the message a little later.</summary>
    public Task SettleAsync(int seeds, long version) => Wait.UntilAsync(
        () => Enumerable.Range(1, seeds).All(number => Server(number).Status.Version == version), $"not all seeds reach version {version}");

    public SeedServer Server(int number) => _servers[Address(number)];

    public MemoryStore Store(int number) => Stores[Address(number)];

    /// <summary>A seed with an empty store, in the place of the one that was there.</summary>
    public SeedId Start(int number)
    {
        var store = new MemoryStore();
        Stores[Address(number)] = store;
        Restart(number);
        return new SeedId(Address(number), store.Identity);
    }

    /// <summary>The seed goes on under another address, with its store.</summary>
    public void Move(int from, int to)
    {
        Copy(from, to);
        Down[Address(from)] = "connection refused";
    }

    public void Copy(int from, int to)
    {
        Stores[Address(to)] = Store(from);
        Restart(to);
    }

    public void Restart(int number)
    {
        _servers[Address(number)] = new SeedServer(Store(number), TimeProvider.System, Log.Enqueue);
        Down.TryRemove(Address(number), out _);
    }

    public RegisterClient Client(string? clusterId = null, RegisterClientOptions? options = null, params int[] known) =>
        new(this, (known.Length == 0 ? [1] : known).Select(Address), clusterId, options ?? Patient, TimeProvider.System, Random.Shared);

    public async ValueTask<ReadOnlyMemory<byte>> AskAsync(SeedAddress seed, ReadOnlyMemory<byte> request, CancellationToken cancellationToken)
    {
        Asked.Enqueue((seed, SeedCodec.ReadRequest(request.Span)!.Kind));
        if (Down.TryGetValue(seed, out string? why))
        {
            if (why.Length != 0)
                throw new IOException(why);
            await Task.Delay(Timeout.Infinite, cancellationToken);
        }

        return _servers.TryGetValue(seed, out SeedServer? server) ? await server.AnswerAsync(request) : throw new IOException("connection refused");
    }

    public void Dispose()
    {
        foreach (SeedServer server in _servers.Values)
            server.Dispose();
    }
}

using System.Globalization;
using System.Text;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Tests.Simulation;

// Clients, and the histories of the keys that they use.
internal sealed partial class SimulatedCluster
{
    private readonly Dictionary<string, List<HistoryOperation>> _histories;
    private readonly List<SimulatedClient> _clients = [];
    private readonly Dictionary<uint, SimulatedClient> _underWay = [];
    private long _stamp;
    private uint _lastOperation;

    /// <summary>The keys that clients use. Every fourth holds a number.</summary>
    public IReadOnlyList<string> Keys { get; }

    /// <summary>Operations that were answered.</summary>
    public int Answered { get; internal set; }

    /// <summary>Operations that ended in an error.</summary>
    public int Errors { get; internal set; }

    /// <summary>Reads that found nothing.</summary>
    public int Misses { get; internal set; }

    /// <summary>Milliseconds that the longest operation took, those of crashed gateways not counted.</summary>
    public long LongestMilliseconds { get; set; }

    /// <summary>Histories of keys that the checker had to give up.</summary>
    public int NotJudged { get; private set; }

    /// <summary>Milliseconds with four digits behind them for the order.</summary>
    internal long NextStamp() => _stamp = Math.Max(_stamp + 1, Now * 10_000);

    internal uint NextOperation() => ++_lastOperation;

    internal Random Random => _random;

    internal bool ClientsMayDelete { get; set; } = true;

    /// <summary>More clients begin to use the keys.</summary>
    public void StartClients(int count, int pauseMilliseconds = 60)
    {
        for (int i = 0; i < count; i++)
        {
            var client = new SimulatedClient(this, pauseMilliseconds);
            _clients.Add(client);
            At(_random.Next(pauseMilliseconds), client.Next);
        }
    }

    /// <summary>Every key is stored once.</summary>
    public void StoreAll() => RunAll(HistoryKind.Set);

    /// <summary>No further operations; returns when the last one has its outcome.</summary>
    public void StopClients()
    {
        foreach (SimulatedClient client in _clients)
            client.IsStopped = true;
        for (int i = 0; i < 200 && _underWay.Count > 0; i++)
            Run(100);
        Assert.True(_underWay.Count == 0, $"seed {Seed}: {_underWay.Count} operations without an outcome");
        _clients.Clear();
    }

    /// <summary>So many operations, one after the other by a few clients.</summary>
    public void Use(int operations)
    {
        int until = Answered + operations;
        StartClients(4, pauseMilliseconds: 5);
        while (Answered < until)
            Run(10);
        StopClients();
    }

    /// <summary>Reads every key once, and judges all histories.</summary>
    public void Verify()
    {
        StopClients();
        RunAll(HistoryKind.Get);
        foreach ((string key, List<HistoryOperation> history) in _histories)
        {
            string? wrong = HistoryChecker.Check(history, out bool isJudged);
            NotJudged += isJudged ? 0 : 1;
            if (wrong is null)
                continue;

            // A cluster that begins anew hashes under another seed.
            int[] partitions = [.. Enumerable.Range(1, _seedsDrawn).Select(life => PartitionOf(key, new KeyHasher(new HashSeed((ulong)life, 0)))).Distinct()];
            Assert.Fail($"seed {Seed}: {key} (partition {string.Join(", then ", partitions)}): {wrong}{LogOf(partitions)}");
        }

        foreach (SimulatedNode node in Members)
            node.Partitions.CheckIntegrity();
    }

    /// <summary>What the key has at a silo that serves it; null: nothing.</summary>
    internal string? ReadDirectly(SimulatedNode node, string key)
    {
        byte[] bytes = Encoding.ASCII.GetBytes(key);
        var request = new CacheRequest
        {
            Operation = CacheOperation.Get, Flags = RequestFlags.ReturnValue | RequestFlags.Peek, Key = bytes, KeyHash = node.Partitions.Hasher!.Compute(bytes),
        };
        var sink = new SimulatedClient.ValueSink();
        Partition(node, request.KeyHash).TryExecuteLogged(in request, NowSeconds, sink, out _);
        return sink.Value;
    }

    /// <summary>A gateway of the seed's choice that serves clients; null if there is none.</summary>
    internal SimulatedNode? ChooseGateway()
    {
        SimulatedNode[] gateways = [.. _nodes.Values.Where(static node => node.IsRunning && node.Channel is not null)];
        return gateways.Length == 0 ? null : gateways[_random.Next(gateways.Length)];
    }

    internal void Begin(SimulatedClient client, string key, HistoryOperation operation)
    {
        _underWay.Add(client.Number, client);
        _histories[key].Add(operation);
    }

    /// <summary>The operation has its outcome, or never will.</summary>
    internal void End(SimulatedClient client, string key, HistoryOperation operation, bool isJudged)
    {
        _underWay.Remove(client.Number);
        _trace = (_trace ^ (ulong)operation.Status ^ ((ulong)operation.Result.Length << 8)) * 1099511628211;
        if (!isJudged)
            _histories[key].Remove(operation);
        else if (!operation.IsUnknown)
            operation.Ended = NextStamp();
        else
            At(DelayMillisecondsMax + 1_000, () => operation.Ended = NextStamp());
    }

    /// <summary>A silo has executed a batch.</summary>
    internal void NoteExecuted(SimulatedNode node, byte[] batch, ReadOnlySpan<byte> reply)
    {
        var requests = new BatchReader(batch);
        var results = new ReplyReader(reply);
        while (requests.TryRead(out CacheRequest request) && results.TryRead(out byte status, out _))
        {
            bool isExecuted = status is not (BatchFormat.StatusNotOwner or BatchFormat.StatusDeferred);
            if (isExecuted && _underWay.TryGetValue(request.ClientFlags, out SimulatedClient? client))
                client.NoteExecuted(node);
        }
    }

    private static Storage.Partition Partition(SimulatedNode node, ulong keyHash) =>
        node.Partitions.TryGet(PartitionId.OfHash(keyHash, node.Partitions.PartitionCount))!;

    /// <summary>One operation on each key, again where it ended in an error.</summary>
    private void RunAll(HistoryKind kind)
    {
        List<string> left = [.. Keys];
        for (int attempt = 0; left.Count > 0; attempt++)
        {
            Assert.True(attempt < 20, $"seed {Seed}: {kind} of {string.Join(", ", left)} gets no answer");
            List<(string Key, SimulatedClient Client)> asked = [.. left.Select(key => (key, new SimulatedClient(this, 0) { IsStopped = true }))];
            foreach ((string key, SimulatedClient client) in asked)
                At(0, () => client.Begin(key, kind));
            for (int i = 0; i < 2_000 && asked.Exists(static one => !one.Client.HasEnded); i++)
                Run(10);
            left = [.. asked.Where(static one => !one.Client.HasSucceeded).Select(static one => one.Key)];
        }
    }

    private void EndOperationsAt(SimulatedNode gateway)
    {
        foreach (SimulatedClient client in _underWay.Values.Where(client => client.Gateway == gateway).ToArray())
            client.OnGatewayLost();
    }

    private HistoryOperation VanishPerhaps(string key)
    {
        var vanished = new HistoryOperation { Kind = HistoryKind.Vanish, Invoked = NextStamp() };
        _histories[key].Add(vanished);
        return vanished;
    }

    private void Vanish(string key) => _histories[key].Add(
        new HistoryOperation { Kind = HistoryKind.Vanish, Status = CacheStatus.Ok, Invoked = NextStamp(), Ended = NextStamp() });
}

/// <summary>One client: one operation at a time, through any gateway.</summary>
internal sealed class SimulatedClient(SimulatedCluster cluster, int pauseMilliseconds) : ReplySink
{
    private readonly Dictionary<string, (string Value, ulong Cas)> _read = [];
    private HistoryOperation? _operation;
    private string _key = "";
    private long _begun;
    private SimulatedNode? _executor;
    private long _executedAt;

    /// <summary>Names the operation that is under way; travels with it as its client flags.</summary>
    public uint Number { get; private set; }

    public SimulatedNode? Gateway { get; private set; }

    /// <summary>The gateway that it uses; null: any.</summary>
    public SimulatedNode? Through { get; init; }

    public bool IsStopped { get; set; }

    public bool HasEnded { get; private set; }

    public bool HasSucceeded { get; private set; }

    public void Next()
    {
        if (IsStopped)
            return;
        string key = cluster.Keys[cluster.Random.Next(cluster.Keys.Count)];
        Begin(key, Draw(key));
    }

    public void Begin(string key, HistoryKind kind)
    {
        Gateway = Through ?? cluster.ChooseGateway();
        if (Gateway is null)
        {
            HasEnded = IsStopped;
            Pause();
            return;
        }

        (_key, _begun, _executor, HasEnded) = (key, cluster.Now, null, false);
        Number = cluster.NextOperation();
        bool isNumber = IsNumber(key);
        if (kind == HistoryKind.Cas && !_read.ContainsKey(key))
            kind = HistoryKind.Get;
        ulong cas = 0;
        string token = "";
        if (kind == HistoryKind.Cas)
            (token, cas) = _read[key];
        string value = kind switch
        {
            HistoryKind.Append => $",{Number}",
            _ when isNumber => ((ulong)Number * 1_000_000).ToString(CultureInfo.InvariantCulture),
            _ => $"v{Number}",
        };
        ulong delta = kind == HistoryKind.Increment ? (ulong)cluster.Random.Next(1, 100) : 0;
        _operation = new HistoryOperation { Kind = kind, Invoked = cluster.NextStamp(), Value = value, Delta = delta, Token = token };
        cluster.Begin(this, key, _operation);

        byte[] keyBytes = Encoding.ASCII.GetBytes(key);
        var request = new CacheRequest
        {
            Operation = kind switch
            {
                HistoryKind.Get => CacheOperation.Get,
                HistoryKind.Add => CacheOperation.Add,
                HistoryKind.Increment => CacheOperation.Increment,
                HistoryKind.Append => CacheOperation.Append,
                HistoryKind.Delete => CacheOperation.Delete,
                HistoryKind.Touch => CacheOperation.Touch,
                _ => CacheOperation.Set,
            },
            Flags = kind switch
            {
                HistoryKind.Get => RequestFlags.ReturnValue | (cluster.Random.Next(8) == 0 ? RequestFlags.Touch : 0),
                HistoryKind.Cas => RequestFlags.CompareCas,
                _ => RequestFlags.None,
            },
            Key = keyBytes,
            KeyHash = Gateway.Channel!.Hasher.Compute(keyBytes),
            Value = kind is HistoryKind.Get or HistoryKind.Increment or HistoryKind.Delete or HistoryKind.Touch ? default : Encoding.ASCII.GetBytes(value),
            ClientFlags = Number,
            Delta = delta,
            CompareCas = cas,
        };
        Gateway.Execute(in request, this);
    }

    public void NoteExecuted(SimulatedNode node) => (_executor, _executedAt) = (node, cluster.Now);

    public override void OnReply(in CacheReply reply)
    {
        HistoryOperation operation = _operation ?? throw new InvalidOperationException($"operation {Number} is answered twice");
        SimulatedNode executor = _executor ?? Gateway!;
        long executedAt = _executor is null ? cluster.Now : _executedAt;
        cluster.LongestMilliseconds = Math.Max(cluster.LongestMilliseconds, cluster.Now - _begun);
        if (reply.Status == CacheStatus.Unavailable)
        {
            cluster.Errors++;
            cluster.Log(-1, Gateway!.Id, $"answers {operation.Kind} of {_key}, partition {cluster.PartitionOf(_key, Gateway.Channel!.Hasher)}: {reply.Reason}");
            End(isJudged: operation.Kind is not (HistoryKind.Get or HistoryKind.Touch));
            return;
        }

        cluster.Answered++;
        HasSucceeded = true;
        bool isKnown = true;
        bool isJudged = true;
        if (executedAt >= executor.DeclaredAt)
        {
            // It does not know yet that it is dead.
            bool changes = reply.Status == CacheStatus.Ok && operation.Kind is not (HistoryKind.Get or HistoryKind.Touch);
            isJudged = changes;
            isKnown = !executor.IsOrphan[PartitionId.OfHash(Gateway!.Channel!.Hasher.Compute(Encoding.ASCII.GetBytes(_key)), cluster.PartitionCount).Value];
        }

        if (isKnown)
        {
            operation.Status = reply.Status;
            if (operation.Kind == HistoryKind.Get && reply.Status == CacheStatus.Ok)
            {
                byte[] bytes = new byte[reply.Value.Length];
                reply.Value.CopyTo(bytes);
                operation.Result = Encoding.ASCII.GetString(bytes);
                if (isJudged)
                    _read[_key] = (operation.Result, reply.Cas);
            }
            else if (operation.Kind == HistoryKind.Increment && reply.Status == CacheStatus.Ok)
                operation.Result = reply.Number.ToString(CultureInfo.InvariantCulture);
            if (operation.Kind == HistoryKind.Get && reply.Status == CacheStatus.NotFound && isJudged)
                cluster.Misses++;
            if (reply.Status is not (CacheStatus.Ok or CacheStatus.NotFound or CacheStatus.NotStored or CacheStatus.Exists))
                throw new InvalidOperationException($"{operation.Kind} of {_key} was answered with {reply.Status}");
        }

        End(isJudged);
    }

    /// <summary>No answer will come.</summary>
    public void OnGatewayLost() => End(isJudged: _operation!.Kind is not (HistoryKind.Get or HistoryKind.Touch));

    private void End(bool isJudged)
    {
        HistoryOperation operation = _operation!;
        _operation = null;
        HasEnded = true;
        cluster.End(this, _key, operation, isJudged);
        Pause();
    }

    private void Pause()
    {
        if (!IsStopped)
            cluster.At(cluster.Random.Next(1, Math.Max(2, pauseMilliseconds)), Next);
    }

    private static bool IsNumber(string key) => int.Parse(key.AsSpan(1), CultureInfo.InvariantCulture) % 4 == 0;

    private HistoryKind Draw(string key)
    {
        int draw = cluster.Random.Next(100);
        bool isNumber = IsNumber(key);
        return draw switch
        {
            < 35 => HistoryKind.Get,
            < 50 => HistoryKind.Cas,
            < 68 => HistoryKind.Set,
            < 76 => HistoryKind.Add,
            < 90 => isNumber ? HistoryKind.Increment : HistoryKind.Append,
            < 97 when cluster.ClientsMayDelete => HistoryKind.Delete,
            _ => HistoryKind.Touch,
        };
    }

    /// <summary>Keeps a value.</summary>
    internal sealed class ValueSink : ReplySink
    {
        public string? Value { get; private set; }

        public override void OnReply(in CacheReply reply)
        {
            if (reply.Status != CacheStatus.Ok || !reply.Value.HasBytes)
                return;
            byte[] bytes = new byte[reply.Value.Length];
            reply.Value.CopyTo(bytes);
            Value = Encoding.ASCII.GetString(bytes);
        }
    }
}

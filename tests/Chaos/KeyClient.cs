using System.Globalization;

namespace OrleansCache.Chaos;

/// <summary>
/// The only writer of one key, and of one counter. It writes ever newer versions through one gateway and reads through another. A write without an answer
/// may take effect or not, at any time: so it is followed by a read, and stays possible until it has been seen or is long past.
/// </summary>
/// <remarks>
/// A read must give the version that was acknowledged or read last, or one whose answer never came. An acknowledged count counts exactly once; one without an
/// answer once or not at all. A silo that is cut off may give what it had for as long as its lease lasts (<see cref="Fleet.MayServeOld"/>).
/// </remarks>
/// <param name="staysApart">Uses silos that are cut off as before, where the other clients turn away from them.</param>
internal sealed class KeyClient(int number, int seed, Fleet fleet, Findings findings, TimeSpan pause, bool staysApart)
{
    /// <summary>A write whose answer is missing for so long does not happen any more: twice what a gateway waits for a silo, and more.</summary>
    private const double UnansweredMilliseconds = 30_000;

    private const double SlowMilliseconds = 3000;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(12);
    private static readonly TimeSpan s_retryPause = TimeSpan.FromMilliseconds(5);

    private readonly Random _random = new(unchecked((seed * 397) + number));
    private readonly Dictionary<Silo, TextClient> _connections = [];
    private readonly Dictionary<long, double> _unanswered = [];
    private readonly Lock _lock = new();
    private long _version;
    private long _lastVersion;
    private long _count = -1;
    private readonly List<double> _countsUnanswered = [];
    private double _longestRead;
    private double _longestWrite;
    private double _attemptStarted;
    private bool _attemptIsWrite;
    private bool _attemptMetApart;
    private long _windowVersion;
    private long _windowRefusals;
    private Silo? _lastGateway;
    private double _lastSent;

    public string Key { get; } = string.Create(CultureInfo.InvariantCulture, $"w-{number}");

    private string Counter { get; } = string.Create(CultureInfo.InvariantCulture, $"n-{number}");

    public bool StaysApart => staysApart;

    /// <summary>The newest version that was acknowledged or read; 0 before the first.</summary>
    public long Acknowledged => Volatile.Read(ref _version);

    /// <summary>The same at the beginning of the window.</summary>
    public long AcknowledgedBefore => Volatile.Read(ref _windowVersion);

    /// <summary>Errors in the window about <see cref="Key"/>, at silos that are not cut off.</summary>
    public long WindowRefusals => Interlocked.Read(ref _windowRefusals);

    /// <summary>From now on the longest operations are sought anew.</summary>
    public void BeginWindow()
    {
        Volatile.Write(ref _windowVersion, _version);
        Interlocked.Exchange(ref _windowRefusals, 0);
        Volatile.Write(ref _longestRead, 0);
        Volatile.Write(ref _longestWrite, 0);
    }

    /// <summary>
    /// The longest read and write that have ended since then, retries included. Milliseconds. Without those that were under way at a silo when it was cut off.
    /// </summary>
    public (double Read, double Write) ReadWindow() => (Volatile.Read(ref _longestRead), Volatile.Read(ref _longestWrite));

    /// <summary>Whether no operation is under way that began before this moment.</summary>
    public bool HasPassed(double moment) => Volatile.Read(ref _attemptStarted) is var started && (started == 0 || started > moment);

    public async Task RunAsync(CancellationToken cancellation)
    {
        try
        {
            while (!cancellation.IsCancellationRequested)
            {
                // A count is rarer than a write: it is there to notice what is done twice.
                if (_random.Next(8) == 0)
                    await CountAsync(cancellation);
                else
                {
                    await WriteAsync(cancellation);
                    await ReadAsync(cancellation);
                }

                await Task.Delay(pause * (0.5 + _random.NextDouble()), cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            // The end of the run.
        }
        finally
        {
            foreach (TextClient client in _connections.Values)
                client.Dispose();
        }
    }

    private async Task WriteAsync(CancellationToken cancellation)
    {
        Begin(isWrite: true);
        while (true)
        {
            long version = ++_lastVersion;
            string? reply = await TryAsync($"set {Key}", client => client.SetAsync(Key, ValueOf(version)), cancellation);
            if (reply == "STORED")
            {
                Volatile.Write(ref _version, version);
                End();
                return;
            }

            // Whatever was answered: it may have been done all the same.
            lock (_lock)
            {
                _unanswered[version] = findings.NowMilliseconds;
            }

            await Task.Delay(s_retryPause, cancellation);
            await ReadOnceAsync(cancellation);
        }
    }

    private async Task ReadAsync(CancellationToken cancellation)
    {
        Begin(isWrite: false);
        await ReadOnceAsync(cancellation);
        End();
    }

    private async Task ReadOnceAsync(CancellationToken cancellation)
    {
        while (true)
        {
            (Dictionary<string, string>? found, _) = await TryAsync($"get {Key}", client => client.GetAsync([Key]), cancellation);
            if (found is not null)
            {
                Judge(found.GetValueOrDefault(Key));
                return;
            }

            await Task.Delay(s_retryPause, cancellation);
        }
    }

    private void Judge(string? value)
    {
        if (value is null)
        {
            if (_version != 0)
                findings.NoteLost($"{Key} version {_version} is gone");
            Volatile.Write(ref _version, 0);
            return;
        }

        long version = VersionOf(value);
        if (version == 0 || version > _lastVersion)
            findings.NoteForeign($"{Key} holds `{(value.Length <= 60 ? value : value[..60])}` ({value.Length} characters)");
        else if (version != _version)
        {
            if (WasUnanswered(version))
            {
                if (version < _version)
                    findings.NoteLate($"{Key} holds version {version}, which was not answered, after version {_version} was acknowledged");
            }
            else if (version < _version && version >= _windowVersion && _lastGateway is { } gateway
                && fleet.MayServeOld(gateway, _lastSent, findings.NowMilliseconds))
            {
                findings.NoteOldValue();
                return;
            }
            else
            {
                findings.NoteStale(
                    $"{Key} holds version {version}, read through {_lastGateway}; version {_version} was acknowledged or read before");
            }

            Volatile.Write(ref _version, version);
        }

        lock (_lock)
        {
            foreach ((long old, double since) in _unanswered)
            {
                if (findings.NowMilliseconds - since > UnansweredMilliseconds)
                    _unanswered.Remove(old);
            }
        }
    }

    private async Task CountAsync(CancellationToken cancellation)
    {
        Begin(isWrite: true);
        while (_count < 0)
        {
            if (await TryAsync($"set {Counter}", client => client.SetAsync(Counter, "0"), cancellation) == "STORED")
                _count = 0;
            else
                await Task.Delay(s_retryPause, cancellation);
        }

        while (true)
        {
            string? reply = await TryAsync($"incr {Counter}", client => client.CommandAsync($"incr {Counter} 1"), cancellation);
            if (reply is not null && long.TryParse(reply, NumberStyles.None, CultureInfo.InvariantCulture, out long count))
            {
                JudgeCount(count);
                End();
                return;
            }

            if (reply == "NOT_FOUND")
            {
                findings.NoteLost($"{Counter} is gone, which had counted to {_count}");
                _count = -1;
                _countsUnanswered.Clear();
                End();
                return;
            }

            _countsUnanswered.Add(findings.NowMilliseconds);
            await Task.Delay(s_retryPause, cancellation);
        }
    }

    private void JudgeCount(long count)
    {
        // Those without an answer that have been counted by now can be no others than the oldest, as far as anybody can tell.
        long extra = count - (_count + 1);
        if (extra < 0)
            findings.NoteLost($"{Counter} counted to {count} after {_count} was acknowledged");
        else if (extra > _countsUnanswered.Count)
            findings.NoteForeign($"{Counter} counted to {count} after {_count}, with {_countsUnanswered.Count} counts unanswered");
        else
            _countsUnanswered.RemoveRange(0, (int)extra);
        _countsUnanswered.RemoveAll(since => findings.NowMilliseconds - since > UnansweredMilliseconds);
        _count = count;
    }

    /// <summary>Does one operation through a random gateway; the default when there was no answer, or an error.</summary>
    private async Task<T?> TryAsync<T>(string what, Func<TextClient, Task<T>> operation, CancellationToken cancellation)
    {
        IReadOnlyList<Silo> silos = Gateways();
        while (silos.Count == 0)
        {
            await Task.Delay(s_retryPause, cancellation);
            silos = Gateways();
        }

        Silo gateway = silos[_random.Next(silos.Count)];
        if (!_connections.TryGetValue(gateway, out TextClient? client))
            _connections[gateway] = client = new TextClient(gateway.Gateway, s_timeout);
        _lastGateway = gateway;
        _lastSent = findings.NowMilliseconds;
        try
        {
            T reply = await operation(client);
            findings.CountOperations(1);
            _attemptMetApart |= fleet.IsApart(gateway);
            string? line = reply is ValueTuple<Dictionary<string, string>?, string> pair ? pair.Item2 : reply as string;
            if (line is not null && line.Contains("ERROR", StringComparison.Ordinal))
            {
                bool isApart = fleet.IsApart(gateway);
                findings.NoteRefusal($"{what} through {gateway}: {line}", isApart);
                if (!isApart && what.EndsWith(Key, StringComparison.Ordinal))
                    Interlocked.Increment(ref _windowRefusals);
            }

            return reply;
        }
        catch (ConnectionLostException)
        {
            findings.CountOperations(1);
            _attemptMetApart |= fleet.IsApart(gateway);
            findings.NoteCut(fleet.IsApart(gateway));
            _connections.Remove(gateway);
            client.Dispose();
            return default;
        }
    }

    private IReadOnlyList<Silo> Gateways() => staysApart ? fleet.SilosAndApart : fleet.Silos;

    /// <summary>Whether this write had no answer; it has been seen now.</summary>
    private bool WasUnanswered(long version)
    {
        lock (_lock)
        {
            return _unanswered.Remove(version);
        }
    }

    private void Begin(bool isWrite)
    {
        _attemptIsWrite = isWrite;
        _attemptMetApart = false;
        Volatile.Write(ref _attemptStarted, findings.NowMilliseconds);
    }

    private void End()
    {
        double took = findings.NowMilliseconds - _attemptStarted;
        Volatile.Write(ref _attemptStarted, 0);
        if (_attemptMetApart && !staysApart)
            return;
        ref double longest = ref _attemptIsWrite ? ref _longestWrite : ref _longestRead;
        if (took > longest)
            Volatile.Write(ref longest, took);
        if (took > SlowMilliseconds && !staysApart)
        {
            findings.NoteSlow(string.Create(CultureInfo.InvariantCulture,
                $"{(_attemptIsWrite ? "write" : "read")} of {Key} took {took / 1000:f1} s, at last through {_lastGateway}, asked {AgoSeconds():f1} s ago"));
        }
    }

    private double AgoSeconds() => (findings.NowMilliseconds - _lastSent) / 1000;

    private string ValueOf(long version) =>
        string.Create(CultureInfo.InvariantCulture, $"{Key} version {version} ").PadRight(40 + (int)(version * 37 % 500), (char)('a' + (version % 26)));

    /// <summary>Whether a write of this version may still take effect, or has taken effect unseen.</summary>
    public bool IsUnanswered(long version)
    {
        lock (_lock)
        {
            return _unanswered.ContainsKey(version);
        }
    }

    /// <summary>0 if nobody has ever written this.</summary>
    public long VersionOf(string value)
    {
        string[] words = value.Split(' ');
        return words.Length >= 3 && long.TryParse(words[2], NumberStyles.None, CultureInfo.InvariantCulture, out long version) && value == ValueOf(version)
            ? version : 0;
    }
}

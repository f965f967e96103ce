using System.Text;

namespace OrleansCache.Membership;

/// <summary>Time-outs of a <see cref="RegisterClient"/>.</summary>
public sealed class RegisterClientOptions
{
    /// <summary>One message and its answer.</summary>
    public TimeSpan RoundTimeout { get; init; } = TimeSpan.FromSeconds(1);

    /// <summary>A whole read or change, with all its rounds.</summary>
    public TimeSpan OperationTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Once the seeds that have answered could do without the others, these are waited for so much longer.</summary>
    public TimeSpan Grace { get; init; } = TimeSpan.FromMilliseconds(50);

    /// <summary>Longest random pause before a first further attempt; doubles up to 32 times as much.</summary>
    public TimeSpan BackoffMin { get; init; } = TimeSpan.FromMilliseconds(10);
}

/// <summary>
/// The register as seen by a member: drives a <see cref="RegisterRun"/> for each operation over a transport. Any number of clients may work on one
/// register. A message that is no longer waited for goes on to its seed, so that one that is slow is not left behind.
/// </summary>
public sealed class RegisterClient : IClusterRegister
{
    private readonly Lock _gate = new();
    private readonly ISeedTransport _transport;
    private readonly RegisterClientOptions _options;
    private readonly TimeProvider _time;
    private readonly long _start;
    private readonly RunTimes _times;
    private readonly ProposerMemory _memory;

    /// <param name="known">Addresses where seeds may be found, as the operator gave them; further ones are learned from the register.</param>
    /// <param name="clusterId">Seeds of another cluster are refused; null or empty: whichever the first that answers belongs to.</param>
    /// <param name="random">For pauses and for the client's own number, which no other client may have: seeded in tests only.</param>
    public RegisterClient(ISeedTransport transport, IEnumerable<SeedAddress> known, string? clusterId, RegisterClientOptions options,
        TimeProvider time, Random random)
    {
        _transport = transport;
        _options = options;
        _time = time;
        _start = time.GetTimestamp();
        _times = new RunTimes(Milliseconds(options.OperationTimeout), Milliseconds(options.RoundTimeout), Milliseconds(options.Grace),
            Milliseconds(options.BackoffMin));
        Span<byte> number = stackalloc byte[16];
        random.NextBytes(number);
        _memory = new ProposerMemory(new Guid(number), clusterId ?? "", random) { Given = [.. known.Distinct()] };

        static long Milliseconds(TimeSpan time) => Math.Max(1, (long)time.TotalMilliseconds);
    }

    /// <summary>Addresses that are known now: the given ones and those of the set that was seen last.</summary>
    public IReadOnlyList<SeedAddress> KnownSeeds
    {
        get
        {
            lock (_gate)
                return [.. _memory.Addresses];
        }
    }

    private long Now => (long)_time.GetElapsedTime(_start).TotalMilliseconds;

    /// <summary>Further addresses to ask, such as what a DNS name resolves to by now. They replace the given ones, not the learned ones.</summary>
    public void Know(IEnumerable<SeedAddress> addresses)
    {
        SeedAddress[] given = [.. addresses.Distinct()];
        lock (_gate)
            _memory.Given = given;
    }

    /// <summary>Asks whoever listens at the address who it is; for joining, and for `seeds list`.</summary>
    /// <exception cref="RegisterUnavailableException">It does not answer.</exception>
    public async ValueTask<SeedStatus> AskWhoAsync(SeedAddress address, CancellationToken cancellationToken = default)
    {
        (SeedReply? reply, string? error) = await AskAsync(address, SeedCodec.Write(new SeedRequest { Kind = SeedRequestKind.Read }), cancellationToken)
            .ConfigureAwait(false);
        cancellationToken.ThrowIfCancellationRequested();
        if (reply is not { Kind: SeedReplyKind.State })
        {
            string why = error ?? (reply!.Reason.Length != 0 ? reply.Reason : "its answer makes no sense");
            throw new RegisterUnavailableException($"{address}: {why}", [$"{address}: {why}"], outcomeUnknown: false);
        }

        return SeedServer.ToStatus(reply.Identity, reply.Value);
    }

    public async ValueTask<RegisterSnapshot> ReadAsync(CancellationToken cancellationToken = default)
    {
        RegisterOutcome outcome = await RunAsync(RegisterIntent.Read, cancellationToken).ConfigureAwait(false);
        return outcome.Kind == OutcomeKind.Done ? outcome.Value!.ToSnapshot(outcome.Alive) : throw Unavailable(outcome);
    }

    public async ValueTask<WriteResult> TryWriteAsync(long expectedVersion, ReadOnlyMemory<byte> content, CancellationToken cancellationToken = default)
    {
        if (content.Length > Limits.RegisterContentBytesMax)
            throw new ArgumentException($"the membership has {content.Length} bytes, more than {Limits.RegisterContentBytesMax}", nameof(content));
        var intent = new RegisterIntent(IntentKind.Write, expectedVersion, content.ToArray());
        return Result(await RunAsync(intent, cancellationToken).ConfigureAwait(false));
    }

    public async ValueTask<WriteResult> TryChangeSeedsAsync(long expectedVersion, SeedChange change, CancellationToken cancellationToken = default)
    {
        var intent = new RegisterIntent(IntentKind.ChangeSeeds, expectedVersion, default, change);
        return Result(await RunAsync(intent, cancellationToken).ConfigureAwait(false));
    }

    public async ValueTask ReportAliveAsync(string rowKey, DateTimeOffset time, CancellationToken cancellationToken = default)
    {
        if (rowKey.Length == 0 || Encoding.UTF8.GetByteCount(rowKey) > Limits.AliveKeyBytesMax)
            throw new ArgumentException($"a row's key has 1 to {Limits.AliveKeyBytesMax} bytes", nameof(rowKey));
        SeedAddress[] seeds;
        byte[] message;
        lock (_gate)
        {
            seeds = _memory.Hint is { } hint ? [.. hint.Members.Select(static seed => seed.Address).Distinct()] : _memory.Given;
            message = SeedCodec.Write(new SeedRequest
            {
                Kind = SeedRequestKind.Alive, ClusterId = _memory.ClusterId, AliveKey = rowKey, AliveTicks = time.UtcTicks,
            });
        }

        var asked = new List<Task<string?>>();
        foreach (SeedAddress seed in seeds)
            asked.Add(TellAsync(seed));
        var missing = new List<string>();
        // The first that has taken it is enough; the others get it meanwhile.
        await foreach (Task<string?> task in Task.WhenEach(asked).WithCancellation(cancellationToken).ConfigureAwait(false))
        {
            if (await task.ConfigureAwait(false) is not { } why)
                return;
            missing.Add(why);
        }

        throw new RegisterUnavailableException($"no seed takes the sign of life: {string.Join("; ", missing)}", missing, outcomeUnknown: false);

        async Task<string?> TellAsync(SeedAddress seed)
        {
            (SeedReply? reply, string? error) = await AskAsync(seed, message, CancellationToken.None).ConfigureAwait(false);
            return reply?.Kind == SeedReplyKind.AliveTaken ? null : $"{seed}: {error ?? reply!.Kind.ToString()}";
        }
    }

    private static WriteResult Result(RegisterOutcome outcome) => outcome.Kind switch
    {
        OutcomeKind.Done => new WriteResult(true, outcome.Value!.ToSnapshot(outcome.Alive)),
        OutcomeKind.Conflict => new WriteResult(false, outcome.Value!.ToSnapshot(outcome.Alive)),
        OutcomeKind.Invalid => throw new ArgumentException(outcome.Reason),
        _ => throw Unavailable(outcome),
    };

    private static RegisterUnavailableException Unavailable(RegisterOutcome outcome)
    {
        string message = outcome.Missing.Count == 0 ? outcome.Reason : $"{outcome.Reason}; {string.Join("; ", outcome.Missing)}";
        return new RegisterUnavailableException(message, outcome.Missing, outcome.Unknown) { NoCluster = outcome.NoCluster };
    }

    private async Task<RegisterOutcome> RunAsync(RegisterIntent intent, CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        using var driver = new Driver(this, intent);
        await using CancellationTokenRegistration registration = cancellationToken.UnsafeRegister(static driver => ((Driver)driver!).Cancel(), driver);
        RegisterOutcome outcome = await driver.Outcome.ConfigureAwait(false);
        if (outcome.Kind == OutcomeKind.Unavailable)
            cancellationToken.ThrowIfCancellationRequested();
        return outcome;
    }

    /// <returns>The answer, or why there is none.</returns>
    private async Task<(SeedReply? Reply, string? Error)> AskAsync(SeedAddress seed, byte[] message, CancellationToken cancellationToken)
    {
        try
        {
            using var timeout = new CancellationTokenSource(_options.RoundTimeout, _time);
            using var either = CancellationTokenSource.CreateLinkedTokenSource(timeout.Token, cancellationToken);
            ReadOnlyMemory<byte> answer = await _transport.AskAsync(seed, message, either.Token).ConfigureAwait(false);
            SeedReply? reply = SeedCodec.ReadReply(answer.Span);
            return (reply, reply is null ? "its answer cannot be read" : null);
        }
        catch (OperationCanceledException)
        {
            return (null, "no answer");
        }
        catch (Exception exception)
        {
            return (null, exception.Message.ReplaceLineEndings(" "));
        }
    }

    /// <summary>One run: its messages under way and its timer. The run itself is guarded by the client's lock.</summary>
    private sealed class Driver : IDisposable
    {
        private readonly RegisterClient _client;
        private readonly RegisterRun _run;
        private readonly ITimer _timer;
        private readonly TaskCompletionSource<RegisterOutcome> _outcome = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private long _timerAt = -1;

        public Driver(RegisterClient client, RegisterIntent intent)
        {
            _client = client;
            _timer = client._time.CreateTimer(static driver => ((Driver)driver!).OnTimer(), this, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
            IReadOnlyList<Outgoing> outgoing;
            lock (client._gate)
            {
                _run = new RegisterRun(client._memory, intent, client._times, client.Now);
                outgoing = Advance();
            }

            Send(outgoing);
        }

        public Task<RegisterOutcome> Outcome => _outcome.Task;

        public void Cancel()
        {
            lock (_client._gate)
            {
                _run.Cancel();
                Advance();
            }
        }

        public void Dispose() => _timer.Dispose();

        private void OnTimer()
        {
            IReadOnlyList<Outgoing> outgoing;
            lock (_client._gate)
            {
                _timerAt = -1;
                _run.OnTimer(_client.Now);
                outgoing = Advance();
            }

            Send(outgoing);
        }

        /// <summary>Under the lock, after each step.</summary>
        private IReadOnlyList<Outgoing> Advance()
        {
            if (_run.Outcome is { } outcome)
            {
                _outcome.TrySetResult(outcome);
                return [];
            }

            if (_run.DueAt != _timerAt)
            {
                _timerAt = _run.DueAt;
                _timer.Change(TimeSpan.FromMilliseconds(Math.Max(1, _timerAt - _client.Now)), Timeout.InfiniteTimeSpan);
            }

            return _run.TakeOutgoing();
        }

        private void Send(IReadOnlyList<Outgoing> outgoing)
        {
            foreach (Outgoing message in outgoing)
                _ = SendAsync(message);
        }

        private async Task SendAsync(Outgoing message)
        {
            (SeedReply? reply, string? error) = await _client.AskAsync(message.Address, SeedCodec.Write(message.Request), CancellationToken.None)
                .ConfigureAwait(false);
            IReadOnlyList<Outgoing> next;
            lock (_client._gate)
            {
                _run.OnReply(message, reply, error, _client.Now);
                next = Advance();
            }

            Send(next);
        }
    }
}

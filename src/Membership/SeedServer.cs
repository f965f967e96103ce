namespace OrleansCache.Membership;

/// <summary>What a seed says of itself. Not decided by anybody: the newest it has accepted.</summary>
/// <param name="Identity">Of its file.</param>
/// <param name="ClusterId">Empty: it belongs to no cluster yet.</param>
/// <param name="Version">-1: it holds no value yet.</param>
/// <param name="Seeds">Null: it holds no value yet.</param>
/// <param name="FormerSeeds">While the set changes.</param>
public sealed record SeedStatus(Guid Identity, string ClusterId, long Version, SeedSet? Seeds, SeedSet? FormerSeeds)
{
    /// <summary>It votes, as far as it knows. A seed that was removed while it was away does not know yet.</summary>
    public bool Votes => Seeds?.Contains(Identity) == true || FormerSeeds?.Contains(Identity) == true;
}

/// <summary>
/// A seed: answers the messages of <see cref="RegisterClient"/>s by the <see cref="Acceptor"/>, over a store that outlives it. What must be kept is kept
/// before the answer leaves, one message after the other; reads do not wait for that. When the disk fails the seed answers that it cannot, and goes on.
/// Safe for concurrent use. Opens no connection itself.
/// </summary>
public sealed class SeedServer : IDisposable
{
    /// <summary>Messages that may wait for the disk; more are answered with "cannot".</summary>
    private const int WaitingMax = 256;

    private readonly Lock _gate = new();
    private readonly SemaphoreSlim _disk = new(1, 1);
    private readonly ISeedStore _store;
    private readonly TimeProvider _time;
    private readonly Action<string> _log;
    private readonly AliveTable _alive = new();
    private AcceptorState _state = AcceptorState.Blank;
    private int _waiting;
    private bool _diskFails;

    /// <param name="log">Called, once for each change, when the disk begins to fail or works again: one line.</param>
    /// <exception cref="SeedFileException">The store's record cannot be read.</exception>
    public SeedServer(ISeedStore store, TimeProvider time, Action<string> log)
    {
        _store = store;
        _time = time;
        _log = log;
        if (!store.Record.IsEmpty)
        {
            _state = SeedCodec.ReadRecord(store.Record.Span) ?? throw new SeedFileException("the seed's file holds a record of another version of"
                + " OrleansCache; use that version, or move the file away, and the seed comes back as a new one that the others must take in");
        }
    }

    public SeedStatus Status
    {
        get
        {
            lock (_gate)
                return ToStatus(_store.Identity, _state.Value);
        }
    }

    /// <summary>
    /// Founds a cluster with this seed as its only one: version 0, empty content. False: it has a value already, and nothing was changed. Only for a seed
    /// that has been told to; asks nobody.
    /// </summary>
    /// <exception cref="IOException">The store could not keep it.</exception>
    public async ValueTask<bool> TryFoundAsync(SeedAddress self, string clusterId)
    {
        if (clusterId.Length == 0 || System.Text.Encoding.UTF8.GetByteCount(clusterId) > Limits.RegisterClusterIdBytesMax)
            throw new ArgumentException($"a cluster id has 1 to {Limits.RegisterClusterIdBytesMax} bytes", nameof(clusterId));
        return await ChangeAloneAsync(value => value is null ? RegisterValue.Founding(clusterId, new SeedId(self, _store.Identity), write: 1) : null)
            .ConfigureAwait(false);
    }

    /// <summary>
    /// Changes the address of a seed that is the only one: there is nobody else to ask. False: it is not the only one, or stands there already, and nothing
    /// was changed. (Among several the others take it in at its new address: <see cref="SeedChange.Replacing"/>.)
    /// </summary>
    /// <exception cref="IOException">The store could not keep it.</exception>
    public ValueTask<bool> TryMoveAsync(SeedAddress self) => ChangeAloneAsync(value =>
        value is { IsJoint: false, Seeds: [var only] } && only.Identity == _store.Identity && only.Address != self ? Alone(value, self) : null);

    /// <summary>
    /// Makes this seed the only one, with the content that it holds, which may not be the newest. For an operator whose other seeds are lost for good: if a
    /// majority of them is alive, there are two clusters from then on. False: this seed holds nothing.
    /// </summary>
    /// <exception cref="IOException">The store could not keep it.</exception>
    public ValueTask<bool> ForceAloneAsync(SeedAddress self) => ChangeAloneAsync(value => value is null ? null : Alone(value, self));

    /// <summary>The answer to a message, whatever it is: garbage gets an answer that says so.</summary>
    public async ValueTask<ReadOnlyMemory<byte>> AnswerAsync(ReadOnlyMemory<byte> request) =>
        SeedCodec.Write(await HandleAsync(request.Span).ConfigureAwait(false));

    public void Dispose() => _disk.Dispose();

    internal static SeedStatus ToStatus(Guid identity, RegisterValue? value) =>
        new(identity, value?.ClusterId ?? "", value?.Version ?? -1, value?.Seeds, value?.Former);

    private RegisterValue Alone(RegisterValue value, SeedAddress self)
    {
        ulong write = (ulong)Random.Shared.NextInt64(1, long.MaxValue);
        return new(value.ClusterId, value.Version + 1, new SeedSet(new SeedId(self, _store.Identity)), null, value.Content, [write]);
    }

    /// <param name="change">Null: no change.</param>
    private async ValueTask<bool> ChangeAloneAsync(Func<RegisterValue?, RegisterValue?> change)
    {
        await _disk.WaitAsync().ConfigureAwait(false);
        try
        {
            if (change(_state.Value) is not { } next)
                return false;
            var ballot = new Ballot(_state.Promised.Counter + 1, _store.Identity);
            if (await SaveAsync(new AcceptorState(ballot, ballot, next)).ConfigureAwait(false) is { } error)
                throw new IOException($"the seed's file cannot be written: {error}");
            return true;
        }
        finally
        {
            _disk.Release();
        }
    }

    private ValueTask<SeedReply> HandleAsync(ReadOnlySpan<byte> message)
    {
        if (SeedCodec.ReadRequest(message) is not { } request)
        {
            string reason = message.Length != 0 && message[0] != SeedCodec.MessageFormat
                ? $"speaks format {SeedCodec.MessageFormat} of the seeds' messages, not {message[0]}: another version of OrleansCache"
                : "cannot read the message";
            return new(new SeedReply { Kind = SeedReplyKind.Unreadable, Identity = _store.Identity, Reason = reason });
        }

        if (request.Kind is SeedRequestKind.Read or SeedRequestKind.Alive)
        {
            lock (_gate)
                return new(AnswerInMemory(request));
        }

        return KeepAsync(request);
    }

    private SeedReply AnswerInMemory(SeedRequest request)
    {
        if (request.Kind == SeedRequestKind.Read)
        {
            SeedReply reply = Acceptor.Handle(_state, _store.Identity, request).Reply;
            return reply.Kind == SeedReplyKind.State ? reply with { Alive = _alive.Rows(_time.GetUtcNow()) } : reply;
        }

        if (request.ClusterId.Length != 0 && _state.Value is { } value && value.ClusterId != request.ClusterId)
            return new SeedReply { Kind = SeedReplyKind.OtherCluster, Identity = _store.Identity, Reason = value.ClusterId };
        _alive.Set(request.AliveKey, request.AliveTicks, _time.GetUtcNow());
        return new SeedReply { Kind = SeedReplyKind.AliveTaken, Identity = _store.Identity };
    }

    private async ValueTask<SeedReply> KeepAsync(SeedRequest request)
    {
        if (Interlocked.Increment(ref _waiting) > WaitingMax)
        {
            Interlocked.Decrement(ref _waiting);
            return Cannot("too many messages wait for the disk");
        }

        await _disk.WaitAsync().ConfigureAwait(false);
        try
        {
            (SeedReply reply, AcceptorState? next) = Acceptor.Handle(_state, _store.Identity, request);
            return next is not null && await SaveAsync(next).ConfigureAwait(false) is { } error ? Cannot(error) : reply;
        }
        finally
        {
            _disk.Release();
            Interlocked.Decrement(ref _waiting);
        }
    }

    private SeedReply Cannot(string reason) => new() { Kind = SeedReplyKind.Cannot, Identity = _store.Identity, Reason = reason };

    /// <summary>Holding <see cref="_disk"/>.</summary>
    /// <returns>Why it is not kept; null: it is.</returns>
    private async Task<string?> SaveAsync(AcceptorState next)
    {
        string? error = await Task.Run(() =>
        {
            try
            {
                _store.Save(SeedCodec.Write(next));
                return null;
            }
            catch (Exception exception)
            {
                // It may be on the disk nevertheless: to everybody else that is a message that came later, after the next start.
                return exception.Message.ReplaceLineEndings(" ");
            }
        }).ConfigureAwait(false);
        if (error is null)
        {
            lock (_gate)
                _state = next;
        }

        if (_diskFails != error is not null)
        {
            _diskFails = error is not null;
            _log(error is null ? "the seed's file can be written again" : $"the seed's file cannot be written, so this seed does not vote: {error}");
        }

        return error;
    }
}

namespace OrleansCache.Storage;

/// <summary>
/// The channel of <see cref="LocalRouter"/>: executes at once. <see cref="Send"/> is never needed here, because <see cref="TryExecute"/> refuses only
/// while something that was sent is on its way; but it keeps the contract: the reply comes later, on the loop, and in order.
/// </summary>
internal sealed class LocalChannel(LocalRouter router, KeyHasher hasher, ICompletionQueue loop) : RouterChannel(hasher)
{
    private int _sent;

    public override bool TryExecute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        if (_sent != 0)
            return false;
        Execute(in request, nowUnixSeconds, sink);
        return true;
    }

    public override void Send(in CacheRequest request, ReplySink sink)
    {
        _sent++;
        loop.Post(new SentRequest(this, in request, sink));
    }

    public override void Prefetch(ReadOnlySpan<ulong> keyHashes) => router.Partitions.Prefetch(keyHashes);

    public override void Flush()
    {
    }

    private void Execute(in CacheRequest request, uint nowUnixSeconds, ReplySink sink)
    {
        if (!router.TryExecute(in request, nowUnixSeconds, sink))
            sink.OnReply(new CacheReply { Status = CacheStatus.Unavailable, Reason = "partition is not available" });
    }

    private sealed class SentRequest : LoopWorkItem
    {
        private readonly LocalChannel _channel;
        private readonly ReplySink _sink;
        private readonly byte[] _key;
        private readonly byte[] _value;
        private readonly CacheOperation _operation;
        private readonly RequestFlags _flags;
        private readonly int _connection;
        private readonly uint _clientFlags, _expiresAt, _createExpiresAt, _recacheBefore;
        private readonly ulong _keyHash, _compareCas, _newCas, _delta, _initialValue;

        public SentRequest(LocalChannel channel, in CacheRequest request, ReplySink sink)
        {
            _channel = channel;
            _sink = sink;
            _key = request.Key.ToArray();
            _value = request.Value.ToArray();
            _operation = request.Operation;
            _flags = request.Flags;
            _connection = request.Connection;
            _clientFlags = request.ClientFlags;
            _expiresAt = request.ExpiresAt;
            _createExpiresAt = request.CreateExpiresAt;
            _recacheBefore = request.RecacheBefore;
            _keyHash = request.KeyHash;
            _compareCas = request.CompareCas;
            _newCas = request.NewCas;
            _delta = request.Delta;
            _initialValue = request.InitialValue;
        }

        public override void Execute()
        {
            _channel._sent--;
            var request = new CacheRequest
            {
                Operation = _operation,
                Flags = _flags,
                Connection = _connection,
                ClientFlags = _clientFlags,
                KeyHash = _keyHash,
                Key = _key,
                Value = _value,
                ExpiresAt = _expiresAt,
                CreateExpiresAt = _createExpiresAt,
                RecacheBefore = _recacheBefore,
                CompareCas = _compareCas,
                NewCas = _newCas,
                Delta = _delta,
                InitialValue = _initialValue,
            };
            _channel.Execute(in request, _channel.NowUnixSeconds, _sink);
        }
    }

    private uint NowUnixSeconds => router.NowUnixSeconds;
}

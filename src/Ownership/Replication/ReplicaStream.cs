using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Replication;

/// <summary>
/// Everything that goes from this silo to the replicas of one other: one message at a time; what happens meanwhile collects for the next one, so messages grow
/// with the load. A message without an answer is sent again, the same one, until it is answered or all its copies have been detached. The other silo takes each
/// once. Any thread may have it send.
/// </summary>
internal sealed class ReplicaStream(SiloId target, long life, Replicator replicator)
{
    private readonly Lock _workLock = new();
    private readonly Lock _callLock = new();
    private readonly ReplicationWriter _message = new();
    private readonly List<Sent> _sent = [];
    private List<OutgoingCopy> _work = [];
    private List<OutgoingCopy> _taken = [];
    private int _isBusy;
    private volatile bool _hasWork;
    private volatile bool _isEnded;
    private long _number;
    private long _firstSentAt;
    private bool _hasFailed;
    private Call? _call;

    public SiloId Target => target;

    private Replicator Replicator => replicator;

    /// <summary>The other silo is gone for good.</summary>
    public void End() => _isEnded = true;

    /// <summary>
    /// The copy has something to send; if it is not urgent, it goes along with what is, or waits for the next tick. Called under its partition's lock.
    /// </summary>
    public void MarkDirty(OutgoingCopy copy, bool isUrgent = true)
    {
        lock (_workLock)
        {
            if (copy.IsQueued && (!isUrgent || _hasWork))
                return;
            if (!copy.IsQueued)
                _work.Add(copy);
            copy.IsQueued = true;
            if (!isUrgent)
                return;
            _hasWork = true;
        }

        replicator.NoteWork();
    }

    /// <summary>Sends what there is, unless a message is on its way: then the next one follows its answer.</summary>
    public void Pump()
    {
        while (_hasWork && Interlocked.CompareExchange(ref _isBusy, 1, 0) == 0)
        {
            if (Build())
            {
                _firstSentAt = replicator.Time.GetTimestamp();
                Send();
                return;
            }

            Free();
        }
    }

    /// <summary>Either whoever has marked something sees that the stream is free, or its work is seen after this.</summary>
    private void Free() => Interlocked.Exchange(ref _isBusy, 0);

    private bool Build()
    {
        lock (_workLock)
        {
            (_work, _taken) = (_taken, _work);
            _hasWork = false;
            foreach (OutgoingCopy copy in _taken)
                copy.IsQueued = false;
        }

        _message.Begin(ReplicationFormat.LayoutOf(replicator.WireVersion), life, _number + 1, replicator.Self);
        int scanBytes = 0;
        foreach (OutgoingCopy copy in _taken)
        {
            var builder = new GroupBuilder(this, copy, scanBytes);
            copy.Log.Gate.RunLocked(builder, static builder => builder.Run());
            scanBytes = builder.ScanBytes;
        }

        _taken.Clear();
        if (_sent.Count == 0)
        {
            _message.Clear();
            return false;
        }

        _number++;
        return true;
    }

    /// <summary>Time passes: what is not urgent leaves, and a message without an answer is sent again.</summary>
    public void Tick()
    {
        lock (_workLock)
        {
            _hasWork |= _work.Count > 0;
        }

        if (_hasWork)
            replicator.NoteWork();
        lock (_callLock)
        {
            if (_call is null || replicator.Time.GetElapsedTime(_call.SentAt) < Replicator.MessageTimeout)
                return;
            _call = null;
        }

        Retry();
    }

    private void Send()
    {
        Call call = new(this, replicator.Time.GetTimestamp());
        lock (_callLock)
        {
            _call = call;
        }

        replicator.Transport.Send(target, PooledBytes.Wrap(_message.Buffer, _message.Length), call);
    }

    /// <summary>The outcome of a call; only that of the last one counts.</summary>
    private void OnOutcome(Call call, ReadOnlySpan<byte> reply)
    {
        lock (_callLock)
        {
            if (_call != call)
                return;
            _call = null;
        }

        List<(int Partition, long Copy)> refused = [];
        bool isAnswered = ReplicationFormat.TryReadReply(reply, out MessageStatus status, out long number, refused)
            && number == _number && status is MessageStatus.Ok or MessageStatus.OutOfStep;
        if (!isAnswered)
        {
            Retry();
            return;
        }

        // A call that was given up may still read the buffer.
        replicator.CountMessage(_message.Length);
        _message.Clear(abandon: _hasFailed);
        _hasFailed = false;
        Acknowledge(status, refused);
        Free();
        Pump();
    }

    private void Retry()
    {
        if (_isEnded)
            return;
        replicator.CountRetry();
        _hasFailed = true;
        if (replicator.Time.GetElapsedTime(_firstSentAt) > Replicator.CopyGiveUp)
            FailIncomplete();
        replicator.Host.Post(Replicator.RetryInterval, Send);
    }

    private void Acknowledge(MessageStatus status, List<(int Partition, long Copy)> refused)
    {
        foreach (Sent sent in _sent)
        {
            OutgoingCopy copy = sent.Copy;
            PartitionLog log = copy.Log;
            bool isRefused = status == MessageStatus.OutOfStep || refused.Contains((log.Partition, copy.Number));
            if (isRefused)
            {
                log.Gate.RunLocked(copy, static copy => copy.IsRefused = true);
                replicator.Host.OnCopyFailed(log.Partition, copy.Number);
                continue;
            }

            log.Gate.RunLocked(sent, static sent => sent.Take());
            if ((sent.Kind & GroupKind.Complete) != 0)
                replicator.Host.OnCopySynced(log.Partition, copy.Number);
            else if ((sent.Kind & GroupKind.Retain) != 0)
                replicator.Host.OnRetained(log.Partition, copy.Number);
            if (log.AwaitsDrain)
                replicator.TellIfDrained(log);
        }

        _sent.Clear();
        replicator.NotifyAcknowledged();
    }

    /// <summary>The other silo has not answered for long: copies that nobody waits for are given up, the others wait for the membership's word.</summary>
    private void FailIncomplete()
    {
        foreach (Sent sent in _sent)
        {
            if (!sent.Copy.IsComplete)
                replicator.Host.OnCopyFailed(sent.Copy.Log.Partition, sent.Copy.Number);
        }
    }

    private sealed class Call(ReplicaStream stream, long sentAt) : IReplicaCall
    {
        public long SentAt => sentAt;

        public void OnReply(ReadOnlySpan<byte> reply) => stream.OnOutcome(this, reply);

        public void OnFailure() => stream.OnOutcome(this, default);
    }

    /// <summary>What a message says of a copy.</summary>
    private sealed record Sent(OutgoingCopy Copy, GroupKind Kind, long Last)
    {
        /// <summary>Under the partition's lock: the other silo has it.</summary>
        public void Take()
        {
            if (Copy.Stage == CopyStage.Ended)
                return;
            Copy.Acknowledged = Math.Max(Copy.Acknowledged, Last);
            Copy.Log.UpdateAcknowledged();
            if (Copy.Stage == CopyStage.Scanning)
                Copy.Stream.MarkDirty(Copy);
        }
    }

    /// <summary>
    /// Writes what one copy has to send, under its partition's lock: so a part of the scan stands exactly where it was read between the effects.
    /// </summary>
    private sealed class GroupBuilder(ReplicaStream stream, OutgoingCopy copy, int scanBytes)
    {
        public int ScanBytes { get; private set; } = scanBytes;

        public void Run()
        {
            if (copy.Stage == CopyStage.Ended || copy.IsRefused)
                return;
            PartitionLog log = copy.Log;
            ulong sequence = log.Gate.LastCas;
            GroupKind kind = GroupKind.Effects;
            int before = stream._message.Length;
            if (copy.Stage == CopyStage.Retaining)
            {
                WriteGroup(GroupKind.Retain, copy.FormerNumber, copy.PendingFirst - 1, sequence, default);
                kind |= GroupKind.Retain;
                copy.Stage = CopyStage.Following;
            }

            GrowingBuffer pending = copy.Pending;
            if (pending.Length > 0)
            {
                // What was logged before the copy's first part is in the scan.
                if (copy.Stage != CopyStage.New)
                    WriteGroup(GroupKind.Effects, copy.PendingFirst, log.Position, sequence, pending.Written);
                stream.ReleasePending(copy);
            }

            if (copy.Reads.Length > 0)
            {
                WriteGroup(GroupKind.Reads, 0, 0, 0, copy.Reads.Written);
                copy.Reads.Clear();
            }

            copy.PendingFirst = log.Position + 1;
            if (copy.Stage is CopyStage.New or CopyStage.Scanning)
            {
                if (ScanBytes >= stream.Replicator.ScanBytesMax)
                    stream.MarkDirty(copy);
                else if (!copy.IsResting && stream.Replicator.MayScan(copy))
                    kind |= WriteScan(log, sequence);
                else if (stream._message.Length == before)
                    return; // whoever holds the scan back marks the copy again
            }

            stream._sent.Add(new Sent(copy, kind, log.Position));
        }

        private GroupKind WriteScan(PartitionLog log, ulong sequence)
        {
            GrowingBuffer output = stream._message.BeginScan(log.Partition, copy.Number, log.Position, sequence);
            bool more = log.Gate.ExportEffects(ref copy.Cursor, output, stream.Replicator.ScanPartBytes, stream.Replicator.NowUnixSeconds);
            GroupKind kind = GroupKind.Scan | (copy.Stage == CopyStage.New ? GroupKind.Begin : 0) | (more ? 0 : GroupKind.Complete);
            int bytes = stream._message.EndScan(kind);
            ScanBytes += bytes;
            stream.Replicator.CountScan(bytes);
            Volatile.Write(ref copy.ScannedBytes, copy.ScannedBytes + bytes);
            copy.Stage = more ? CopyStage.Scanning : CopyStage.Following;
            if (!more)
                log.MarkComplete(copy);
            return kind;
        }

        private void WriteGroup(GroupKind kind, long first, long last, ulong sequence, ReadOnlySpan<byte> effects) =>
            stream._message.WriteGroup(kind, copy.Log.Partition, copy.Number, first, last, sequence, effects);
    }

    private void ReleasePending(OutgoingCopy copy)
    {
        replicator.AddPendingBytes(-copy.Pending.Length);
        copy.Pending.Clear();
    }
}

using System.Buffers;
using OrleansCache.Storage;

namespace OrleansCache.Ownership.Replication;

/// <summary>
/// The log of a partition that is served here and copied elsewhere: positions, what each copy has not been sent yet, and how far all complete copies have come.
/// <para>
/// A reply may leave when every complete copy has what it tells of. For that it is enough to know, of each key, the last position that concerned it; keys share
/// <see cref="SlotCount"/> slots by their hash, so a read sometimes waits for its neighbour.
/// </para>
/// Guarded by the partition's lock, except where said otherwise.
/// </summary>
internal sealed class PartitionLog(Partition gate, Replicator replicator) : EffectLog
{
    private const int SlotCount = 256;

    /// <summary>Reads that a copy is told of wait for the next message; beyond so many bytes they are dropped.</summary>
    private const int ReadBytesMax = 32 * 1024;

    private readonly long[] _slots = new long[SlotCount];
    private readonly List<OutgoingCopy> _copies = [];
    private int _synced;
    private int _begun;
    private long _position = gate.LogPosition;
    private long _acknowledged = gate.LogPosition;
    private volatile bool _isClosed;

    public Partition Gate => gate;

    public int Partition => gate.Id.Value;

    public override long Position => _position;

    /// <summary>Every complete copy has the log up to here. Read on any thread.</summary>
    public long Acknowledged => Volatile.Read(ref _acknowledged);

    /// <summary>Nothing more is acknowledged: the partition is not served here any more. Read on any thread.</summary>
    public bool IsClosed => _isClosed;

    /// <summary>The gate is sealed, and somebody waits until everything is acknowledged.</summary>
    public bool AwaitsDrain { get; set; }

    /// <summary>The copies are so far behind that nothing may be added now. Read on any thread.</summary>
    public bool IsOverloaded => replicator.IsOverloaded;

    /// <summary>The position that a reply about this key has to wait for. Read on any thread, after the request.</summary>
    public long NeedOf(ulong keyHash) => replicator.MayRunAhead ? 0 : Volatile.Read(ref _slots[SlotOf(keyHash)]);

    public override bool MayAnswerNow(in CacheRequest request)
    {
        if (_synced == 0)
            return true;
        if (replicator.IsAsynchronous)
            return replicator.MayRunAhead;
        return _slots[SlotOf(request.KeyHash)] <= _acknowledged && IsPlainRead(in request);
    }

    /// <summary>It goes along with what leaves next, or with the next tick: reads alone are no reason for a message each.</summary>
    public override void NoteRead(ReadOnlySpan<byte> key)
    {
        if (!replicator.TellsReads)
            return;
        foreach (OutgoingCopy copy in _copies)
        {
            if (!copy.IsComplete || copy.Reads.Length > ReadBytesMax)
                continue;
            copy.Reads.Take(1)[0] = (byte)key.Length;
            copy.Reads.Write(key);
            copy.Stream.MarkDirty(copy, isUrgent: false);
        }
    }

    public override IBufferWriter<byte> Begin()
    {
        OutgoingCopy first = _copies[0];
        _begun = first.Pending.Length;
        return first.Pending;
    }

    public override void Commit(ulong keyHash)
    {
        _slots[SlotOf(keyHash)] = ++_position;
        Append();
    }

    public override void CommitFlush()
    {
        Array.Fill(_slots, ++_position);
        Append();
    }

    public void Add(OutgoingCopy copy)
    {
        _copies.Add(copy);
        copy.PendingFirst = _position + 1;
        if (copy.IsComplete)
            _synced++;
        gate.Effects = this;
    }

    /// <summary>
    /// From here on nothing is acknowledged that this copy does not have. Everything before was acknowledged without it, and it has that too.
    /// </summary>
    public void MarkComplete(OutgoingCopy copy)
    {
        copy.IsComplete = true;
        copy.Acknowledged = Math.Max(copy.Acknowledged, _acknowledged);
        _synced++;
    }

    public void Remove(OutgoingCopy copy)
    {
        if (!_copies.Remove(copy))
            return;
        if (copy.IsComplete)
            _synced--;
        copy.Stage = CopyStage.Ended;
        replicator.AddPendingBytes(-copy.Pending.Length);
        copy.Pending.Clear();
        copy.Reads.Clear();
        if (_copies.Count == 0 && ReferenceEquals(gate.Effects, this))
            gate.Effects = null;
        UpdateAcknowledged();
    }

    public void Close()
    {
        // First: that nobody is left to wait for acknowledges nothing now.
        _isClosed = true;
        while (_copies.Count > 0)
            Remove(_copies[^1]);
    }

    /// <summary>Whether all that has been logged is acknowledged.</summary>
    public bool IsDrained => _acknowledged >= _position;

    public void UpdateAcknowledged()
    {
        if (_isClosed)
            return;
        long least = _position;
        foreach (OutgoingCopy copy in _copies)
        {
            if (copy.IsComplete)
                least = Math.Min(least, copy.Acknowledged);
        }

        if (least > _acknowledged)
            Volatile.Write(ref _acknowledged, least);
    }

    /// <summary>On any thread: acknowledgements may have become possible because a copy has gone.</summary>
    public void TellRemoved()
    {
        replicator.TellIfDrained(this);
        replicator.NotifyAcknowledged();
    }

    private static int SlotOf(ulong keyHash) => (int)((keyHash * 0x9E37_79B9_7F4A_7C15) >> 56);

    private static bool IsPlainRead(in CacheRequest request)
    {
        const RequestFlags Writes = RequestFlags.Touch | RequestFlags.CreateOnMiss | RequestFlags.Recache | RequestFlags.TakeToken;
        return request.Operation == CacheOperation.Get && (request.Flags & Writes) == 0;
    }

    private void Append()
    {
        OutgoingCopy first = _copies[0];
        ReadOnlySpan<byte> effect = first.Pending.Written[_begun..];
        replicator.AddPendingBytes((long)effect.Length * _copies.Count);
        for (int i = 1; i < _copies.Count; i++)
            _copies[i].Pending.Write(effect);
        foreach (OutgoingCopy copy in _copies)
            copy.Stream.MarkDirty(copy);
        if (_synced == 0)
            Volatile.Write(ref _acknowledged, _position);
    }
}

internal enum CopyStage
{
    /// <summary>The other silo has not been told of it yet.</summary>
    New,

    /// <summary>A scan of the items is on its way.</summary>
    Scanning,

    /// <summary>It is to take an equal replica over.</summary>
    Retaining,

    /// <summary>Only the log is sent.</summary>
    Following,

    /// <summary>Nothing is sent any more.</summary>
    Ended,
}

/// <summary>One copy that a log feeds. Guarded by the partition's lock, but for what belongs to others.</summary>
internal sealed class OutgoingCopy(PartitionLog log, long number, ReplicaStream stream)
{
    public PartitionLog Log => log;

    public long Number => number;

    public ReplicaStream Stream => stream;

    public CopyStage Stage { get; set; }

    /// <summary>Acknowledgements wait for it.</summary>
    public bool IsComplete { get; set; }

    /// <summary>The other silo has refused it.</summary>
    public bool IsRefused { get; set; }

    /// <summary>Effects that have not left yet; the first of them is at <see cref="PendingFirst"/>.</summary>
    public GrowingBuffer Pending { get; } = new();

    public long PendingFirst { get; set; }

    /// <summary>Keys that were read since the last message.</summary>
    public GrowingBuffer Reads { get; } = new();

    public long Acknowledged { get; set; }

    /// <summary>While retaining: the number that the replica has had so far.</summary>
    public long FormerNumber { get; init; }

    /// <summary>While scanning: how far the scan has come.</summary>
    public ExportCursor Cursor;

    /// <summary>No items are read for it at the moment, because the coordinator says so.</summary>
    public bool IsResting { get; set; }

    /// <summary>It waits for its turn by the limit. Belongs to the replicator.</summary>
    public bool IsHeldBack { get; set; }

    /// <summary>Bytes that the scan has read. Read on any thread.</summary>
    public long ScannedBytes;

    /// <summary>Belongs to the stream.</summary>
    public bool IsQueued { get; set; }
}

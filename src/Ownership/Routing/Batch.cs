using System.Diagnostics;

namespace OrleansCache.Ownership.Routing;

/// <summary>
/// Operations on their way to one silo: their encoding, and who waits for each. Filled and emptied on the channel's loop; in between it is read by the
/// transport. While it is in flight nothing in it changes. Comes back to the loop as the work item that it is.
/// </summary>
internal sealed class Batch(ClusterChannel channel) : LoopWorkItem
{
    /// <summary>
    /// What an operation occupies beside its encoding: its row here, and the gateway's reply that waits for it (an object, its key's 250 bytes and two empty
    /// lists).
    /// </summary>
    public const int OperationOverheadBytes = 640;

    private readonly BatchWriter _writer = new();
    private Operation[] _operations = new Operation[64];

    /// <summary>The answer, once the batch is done without <see cref="Failure"/>.</summary>
    public PooledBytes? Reply { get; private set; }

    public PartitionTableVersion ReplyTable { get; private set; }

    public Exception? Failure { get; set; }

    public Lane? Lane { get; set; }

    /// <summary>What has hashed the keys of all its operations.</summary>
    public KeyHasher? Hasher { get; set; }

    /// <summary>
    /// The operations whose results the silo keeps until its replicas have what they tell of, in their order; with <see cref="Ticket"/> they are collected.
    /// </summary>
    public List<int> Pending { get; } = [];

    /// <summary>0 unless something is pending.</summary>
    public long Ticket { get; set; }

    public int Count => _writer.Count;

    /// <summary>What the operations occupy, those who wait for them included.</summary>
    public int Bytes => _writer.Bytes - BatchFormat.BatchHeaderBytes + (Count * OperationOverheadBytes);

    public bool IsFull => _writer.IsFull;

    public ref readonly Operation this[int index] => ref _operations[index];

    public ReadOnlySpan<byte> EncodedAt(int index) => _writer.OperationAt(_operations[index].Start);

    /// <summary>Returns the bytes it took.</summary>
    public int Add(in CacheRequest request, int partition, ReplySink sink, long createdAt)
    {
        int before = _writer.Bytes;
        Register(_writer.Append(in request), partition, sink, createdAt);
        return _writer.Bytes - before + OperationOverheadBytes;
    }

    /// <summary>Returns the bytes it took.</summary>
    public int Add(ReadOnlySpan<byte> encoded, int partition, ReplySink sink, long createdAt)
    {
        Register(_writer.AppendEncoded(encoded), partition, sink, createdAt);
        return encoded.Length + OperationOverheadBytes;
    }

    /// <summary>
    /// Ships the batch, or, once it has a <see cref="Ticket"/>, asks the silo for more of the results that it has kept; the outcome is posted to the loop.
    /// </summary>
    public async Task SendAsync(IBatchTransport transport, int laneNumber, TimeSpan timeout, TimeProvider time, ICompletionQueue loop)
    {
        Debug.Assert(Lane is not null && Hasher is not null && Count > 0);
        ReleaseReply();
        try
        {
            ValueTask<BatchReply> call = Ticket != 0 ? transport.CollectAsync(Lane.Target, Ticket, CancellationToken.None)
                : transport.SendAsync(Lane.Target, laneNumber, new BatchRequest(_writer.Complete(Hasher.Fingerprint)), CancellationToken.None);

            // The time-out is ours: the transport's own may be longer, and a transport may hang.
            BatchReply reply = await call.AsTask().WaitAsync(timeout, time).ConfigureAwait(false);
            Reply = reply.Payload;
            ReplyTable = reply.TableVersion;
        }
        catch (Exception e)
        {
            Failure = e;
        }

        loop.Post(this);
    }

    public override void Execute()
    {
        if (Ticket != 0)
            channel.OnCollected(this);
        else
            channel.OnBatchDone(this);
    }

    /// <summary>Ready for the next use. After a failure the transport may still read the buffer, so it is left to it.</summary>
    public void Reset()
    {
        Array.Clear(_operations, 0, Count);
        Pending.Clear();
        Ticket = 0;
        _writer.Reset(abandonBuffer: Failure is not null);
        ReleaseReply();
        ReplyTable = default;
        Failure = null;
        Lane = null;
        Hasher = null;
    }

    private void ReleaseReply()
    {
        Reply?.Release();
        Reply = null;
    }

    private void Register(int start, int partition, ReplySink sink, long createdAt)
    {
        int index = _writer.Count - 1;
        if (index == _operations.Length)
            Array.Resize(ref _operations, _operations.Length * 2);
        _operations[index] = new Operation(start, partition, sink, createdAt);
    }

    /// <summary>What is known of an operation beside its encoding.</summary>
    internal readonly record struct Operation(int Start, int Partition, ReplySink Sink, long CreatedAt);
}

/// <summary>
/// The batches of one loop for one silo, or for one partition wherever it is: at most one in flight, the others wait in order, and the last of them collects.
/// </summary>
internal sealed class Lane(BatchTarget target)
{
    public BatchTarget Target => target;

    public SiloId Silo => target.Silo;

    public Batch? InFlight { get; set; }

    public List<Batch> Waiting { get; } = [];

    /// <summary>Whether the loop will look at this lane when its turn ends.</summary>
    public bool IsDirty { get; set; }
}

/// <summary>
/// Operations of one partition that found no owner, in order. Rare and short (a partition that moves, a silo that died), so each is a copy of its own.
/// </summary>
internal sealed class ParkedRequests
{
    public Queue<ParkedRequest> Operations { get; } = new();

    /// <summary>The silo that refused or failed; while the table still names it, it is not asked before <see cref="AvoidUntil"/>.</summary>
    public SiloId Avoid { get; set; }

    public long AvoidUntil { get; set; }
}

internal readonly record struct ParkedRequest(byte[] Encoded, ReplySink Sink, long CreatedAt)
{
    /// <summary>As <see cref="Batch.Bytes"/>.</summary>
    public int Bytes => Encoded.Length + Batch.OperationOverheadBytes;
}

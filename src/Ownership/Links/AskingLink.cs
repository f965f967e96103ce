using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using OrleansCache.Ownership.Replication;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Links;

/// <summary>
/// The end of a link that asks. Answers are told on the thread that receives them. What has no answer when the link ends has failed, and may have been
/// executed. Safe to call from any thread.
/// </summary>
internal sealed class AskingLink(IDuplexPipe pipe, TimeProvider time) : LinkEnd(pipe)
{
    private readonly Lock _callsLock = new();
    private readonly Dictionary<long, Waiting> _calls = [];
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _lastCall;
    private long _heardAt = time.GetTimestamp();
    private bool _isClosing;
    private bool _isOver;

    /// <summary>The other silo wants to be asked nothing more here.</summary>
    public bool IsClosing => Volatile.Read(ref _isClosing);

    /// <summary>The link has ended.</summary>
    public bool IsOver => Volatile.Read(ref _isOver);

    /// <summary>Ends when nothing more is asked here and all answers have come.</summary>
    public Task Drained => _drained.Task;

    /// <summary>Until the link ends. Throws <see cref="InvalidDataException"/> when the other end sends what is no answer.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        try
        {
            await ReceiveAsync(cancellationToken).ConfigureAwait(false);
        }
        finally
        {
            Waiting[] left;
            lock (_callsLock)
            {
                Volatile.Write(ref _isOver, true);
                left = [.. _calls.Values];
                _calls.Clear();
            }

            _drained.TrySetResult();
            foreach (Waiting waiting in left)
                Fail(waiting.Call);
        }
    }

    /// <summary>Returns false, and nothing was sent, if this is no way to that silo now.</summary>
    public bool TrySendBatch(PooledBytes batch, int lane, [NotNullWhen(true)] out Task<BatchReply>? reply)
    {
        TaskCompletionSource<BatchReply> call = new();
        reply = call.Task;
        return TrySend(LinkFrame.Batch, batch, call, lane);
    }

    /// <inheritdoc cref="TrySendBatch"/>
    public bool TrySendReplication(PooledBytes message, IReplicaCall call) => TrySend(LinkFrame.Replication, message, call, lane: -1);

    /// <summary>From now on nothing more is asked.</summary>
    public void BeginClosing()
    {
        bool isDrained;
        lock (_callsLock)
        {
            Volatile.Write(ref _isClosing, true);
            isDrained = _calls.Count == 0;
        }

        if (isDrained)
            _drained.TrySetResult();
    }

    /// <summary>Whether the other silo owes an answer for longer than that, and has said nothing else meanwhile.</summary>
    public bool IsSilent(TimeSpan longest)
    {
        lock (_callsLock)
        {
            return time.GetElapsedTime(_heardAt) > longest && _calls.Values.Any(waiting => time.GetElapsedTime(waiting.Since) > longest);
        }
    }

    /// <summary>
    /// Whether a batch of this lane, that its sender has perhaps given up, has no answer yet: then a later one must not take another way, which may be shorter.
    /// </summary>
    public bool OwesLane(int lane)
    {
        lock (_callsLock)
        {
            return _calls.Values.Any(waiting => waiting.Lane == lane);
        }
    }

    protected override void OnFrame(LinkFrame kind, long call, ReadOnlySpan<byte> payload)
    {
        Volatile.Write(ref _heardAt, time.GetTimestamp());
        if (kind == LinkFrame.Closing)
        {
            BeginClosing();
            return;
        }

        object? asked = Take(call);
        switch (kind)
        {
            case LinkFrame.BatchReply when payload.Length >= LinkFormat.TableVersionBytes && asked is TaskCompletionSource<BatchReply> batch:
                PartitionTableVersion table = LinkFormat.ReadTableVersion(payload);
                ReadOnlySpan<byte> reply = payload[LinkFormat.TableVersionBytes..];
                byte[] buffer = WireBuffers.Rent(reply.Length);
                reply.CopyTo(buffer);
                batch.SetResult(new BatchReply(PooledBytes.Received(buffer, reply.Length), table.Term, table.Number));
                break;
            case LinkFrame.ReplicationReply when asked is IReplicaCall replica:
                replica.OnReply(payload);
                break;
            case LinkFrame.Failed when asked is not null:
                Fail(asked);
                break;
            default:
                if (asked is not null)
                    Fail(asked);
                throw new InvalidDataException("No answer of a link.");
        }
    }

    private static void Fail(object call)
    {
        if (call is TaskCompletionSource<BatchReply> batch)
            batch.SetException(new IOException("The link to the silo has ended, or the silo could not execute it."));
        else
            ((IReplicaCall)call).OnFailure();
    }

    private bool TrySend(LinkFrame kind, PooledBytes bytes, object call, int lane)
    {
        if (bytes.Length > LinkFormat.RequestBytesMax)
            return false;
        long number;
        lock (_callsLock)
        {
            if (_isClosing || _isOver)
                return false;
            number = ++_lastCall;
            _calls.Add(number, new Waiting(call, time.GetTimestamp(), lane));
        }

        if (Send(kind, number, bytes.Span))
            return true;

        // The link has ended meanwhile: either this takes the call back, or it has been told that it failed.
        Volatile.Write(ref _isOver, true);
        return Take(number) is null;
    }

    private object? Take(long number)
    {
        Waiting waiting;
        bool isDrained;
        lock (_callsLock)
        {
            if (!_calls.Remove(number, out waiting))
                return null;
            isDrained = _isClosing && _calls.Count == 0;
        }

        if (isDrained)
            _drained.TrySetResult();
        return waiting.Call;
    }

    private readonly record struct Waiting(object Call, long Since, int Lane);
}

using System.IO.Pipelines;
using OrleansCache.Ownership.Routing;

namespace OrleansCache.Ownership.Links;

/// <summary>Whoever executes what other silos ask for over links. Called from any thread; never waits.</summary>
internal interface ILinkTarget
{
    /// <summary>
    /// Executes a batch and gives its reply, at once or later. Throws <see cref="InvalidDataException"/>, and gives none, on bytes that are no batch.
    /// </summary>
    void ExecuteBatch(ReadOnlySpan<byte> batch, LinkCall call);

    /// <summary>Takes a message of replication and returns the reply. Throws <see cref="InvalidDataException"/> on bytes that are none.</summary>
    byte[] TakeReplication(ReadOnlySpan<byte> message);
}

/// <summary>A batch that waits for its answer.</summary>
internal readonly struct LinkCall(AnsweringLink link, long number)
{
    /// <summary>From any thread, once; releases the reply. Nobody hears of it if the link has ended.</summary>
    public void Answer(PooledBytes reply, PartitionTableVersion table) => link.Answer(number, reply, table);
}

/// <summary>The end of a link that executes what the other silo asks for, on the thread that receives it.</summary>
internal sealed class AnsweringLink(IDuplexPipe pipe, ILinkTarget target) : LinkEnd(pipe)
{
    /// <summary>Until the other silo ends the link. Throws <see cref="InvalidDataException"/> when it sends what is no question.</summary>
    public Task RunAsync(CancellationToken cancellationToken) => ReceiveAsync(cancellationToken);

    /// <summary>Asks the other silo to ask nothing more and, when it has all answers, to end the link.</summary>
    public void BeginClosing() => Send(LinkFrame.Closing, 0, default);

    internal void Answer(long call, PooledBytes reply, PartitionTableVersion table)
    {
        Span<byte> version = stackalloc byte[LinkFormat.TableVersionBytes];
        LinkFormat.WriteTableVersion(version, table);
        Send(LinkFrame.BatchReply, call, version, reply.Span);
        reply.Release();
    }

    protected override void OnFrame(LinkFrame kind, long call, ReadOnlySpan<byte> payload)
    {
        try
        {
            if (kind == LinkFrame.Batch)
            {
                target.ExecuteBatch(payload, new LinkCall(this, call));
                return;
            }

            if (kind == LinkFrame.Replication)
            {
                Send(LinkFrame.ReplicationReply, call, target.TakeReplication(payload));
                return;
            }
        }
        catch (InvalidDataException)
        {
            // One bad message is no reason to take the answers of all others along.
            Send(LinkFrame.Failed, call, default);
            return;
        }

        throw new InvalidDataException("No question of a link.");
    }
}

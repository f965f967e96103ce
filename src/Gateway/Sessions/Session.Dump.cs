using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

// Dumps: the one reply that is made while it is sent. A part is read when little of the former one is left unsent, so a client that does not read holds up
// nobody but itself, and a few dozen kilobytes. Other commands of the connection wait meanwhile.
internal sealed partial class Session
{
    /// <summary>Parts read in one turn: small partitions make small parts, and the neighbours want their turn.</summary>
    private const int DumpPartsPerTurn = 16;

    private ItemDump? _dump;

    private bool CanContinueDump => _dump is { IsScanning: false } && Output.Bytes < Limits.DumpOutputBytes;

    /// <summary>Something came before in the same piece of input, or is still unanswered or unsent.</summary>
    private bool HasPredecessors => Commands - 1 != _commandsBefore || !Output.IsEmpty || _replyHead is not null || _waiting > 0;

    private void StartDump(bool keysOnly, bool[]? classes)
    {
        _barrier = Barrier.Dumping;
        _dump = new ItemDump(_loop.Shared.Router, keysOnly, classes);
        _transport.Info.IsDumping = true;
        Output.Write("OK\r\n"u8);
        ContinueDump();
    }

    private void ContinueDump()
    {
        ItemDump dump = _dump!;
        for (int parts = 0; parts < DumpPartsPerTurn && Output.Bytes < Limits.DumpOutputBytes; parts++)
        {
            if (dump.IsAtEnd)
            {
                Output.Write(dump.EndLine);
                EndDump();
                return;
            }

            ValueTask<ItemScanPage> scan;
            try
            {
                scan = dump.ScanAsync();
            }
            catch (RouterException failure)
            {
                FailDump(failure.Message);
                return;
            }

            if (!scan.IsCompletedSuccessfully)
            {
                dump.IsScanning = true;
                _ = WaitForScanAsync(this, dump, scan);
                return;
            }

            dump.Write(scan.GetAwaiter().GetResult(), Output);
        }
    }

    /// <summary>What was told is not everything, so the client must not see an END.</summary>
    private void FailDump(string reason)
    {
        Output.Commit(TextReply.WriteServerError(Output.Reserve(TextReply.LineBytesMax), reason));
        EndDump();
    }

    private void EndDump()
    {
        if (_dump is null)
            return;
        _dump = null;
        _barrier = Barrier.None;
        _transport.Info.IsDumping = false;
        _loop.Shared.EndDump();
    }

    private static async Task WaitForScanAsync(Session session, ItemDump dump, ValueTask<ItemScanPage> scan)
    {
        ItemScanPage? page = null;
        string failure = "";
        try
        {
            page = await scan.ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            failure = exception is RouterException ? exception.Message : "the dump failed";
        }

        session._loop.Queue.Post(new PartRead(session, dump, page, failure));
    }

    private sealed class PartRead(Session session, ItemDump dump, ItemScanPage? page, string failure) : LoopWorkItem
    {
        public override void Execute()
        {
            if (!ReferenceEquals(session._dump, dump))
                return;
            dump.IsScanning = false;
            if (page is not null)
                dump.Write(page, session.Output);
            else
                session.FailDump(failure);
            session._transport.Wake();
        }
    }
}

using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

/// <summary>
/// A dump of the keyspace on its way to a client: the one reply that is made while it is sent. A part is read when little of the former one is left unsent,
/// so a client that does not read holds up nobody but itself, and a few dozen kilobytes. Other commands of the connection wait meanwhile.
/// </summary>
internal sealed class DumpStream : SessionActivity
{
    /// <summary>Parts read in one turn: small partitions make small parts, and the neighbours want their turn.</summary>
    private const int PartsPerTurn = 16;

    private readonly Session _session;
    private readonly ItemDump _dump;
    private bool _isEnded;

    private DumpStream(Session session, ItemDump dump)
    {
        _session = session;
        _dump = dump;
    }

    /// <summary>The next part can be read now.</summary>
    public override bool CanContinue => !_dump.IsScanning && _session.Output.Bytes < Limits.DumpOutputBytes;

    /// <summary>Begins the dump; <see cref="GatewayShared.TryBeginDump"/> has granted it.</summary>
    public static void Start(Session session, bool keysOnly, bool[]? classes)
    {
        var stream = new DumpStream(session, new ItemDump(session.Loop.Shared.Router, keysOnly, classes));
        session.Barrier = Barrier.Dumping;
        session.Activity = stream;
        session.Transport.Info.IsDumping = true;
        session.Output.Write("OK\r\n"u8);
        stream.Continue();
    }

    public override void Continue()
    {
        for (int parts = 0; parts < PartsPerTurn && _session.Output.Bytes < Limits.DumpOutputBytes; parts++)
        {
            if (_dump.IsAtEnd)
            {
                _session.Output.Write(_dump.EndLine);
                End();
                return;
            }

            ValueTask<ItemScanPage> scan;
            try
            {
                scan = _dump.ScanAsync();
            }
            catch (RouterException failure)
            {
                Fail(failure.Message);
                return;
            }

            if (!scan.IsCompletedSuccessfully)
            {
                _dump.IsScanning = true;
                _ = WaitForScanAsync(this, scan);
                return;
            }

            _dump.Write(scan.GetAwaiter().GetResult(), _session.Output);
        }
    }

    public override void OnClosing() => End();

    /// <summary>The session takes commands again. What is still read is dropped.</summary>
    private void End()
    {
        if (_isEnded)
            return;
        _isEnded = true;
        _session.Activity = null;
        _session.Barrier = Barrier.None;
        _session.Transport.Info.IsDumping = false;
        _session.Loop.Shared.EndDump();
    }

    /// <summary>What was sent is not everything, so the client must not see an END.</summary>
    private void Fail(string reason)
    {
        _session.Output.Commit(TextReply.WriteServerError(_session.Output.Reserve(TextReply.LineBytesMax), reason));
        End();
    }

    private static async Task WaitForScanAsync(DumpStream stream, ValueTask<ItemScanPage> scan)
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

        stream._session.Loop.Queue.Post(new PartRead(stream, page, failure));
    }

    private sealed class PartRead(DumpStream stream, ItemScanPage? page, string failure) : LoopWorkItem
    {
        public override void Execute()
        {
            if (stream._isEnded)
                return;
            stream._dump.IsScanning = false;
            if (page is not null)
                stream._dump.Write(page, stream._session.Output);
            else
                stream.Fail(failure);
            stream._session.Transport.Wake();
        }
    }
}

using System.Text;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansCache.Gateway.Buffers;
using OrleansCache.Gateway.Options;
using OrleansCache.Gateway.Sessions;

namespace OrleansCache.Gateway.Tests.Fakes;

/// <summary>A session without sockets: input by <see cref="Send(string)"/>, output by <see cref="Read"/>, posted work run by hand.</summary>
internal sealed unsafe class SessionHarness : ISessionTransport, ICompletionQueue, IDisposable
{
    private readonly Queue<LoopWorkItem> _posted = new();

    public SessionHarness(
        Func<GatewayOptions, GatewayOptions>? configure = null, FakeRouter? router = null, TimeProvider? clock = null,
            WireProtocol protocol = WireProtocol.Auto)
    {
        Info = new ConnectionInfo(static () => "test", static () => "test") { Protocol = protocol };
        Router = router ?? new FakeRouter();
        GatewayOptions options = new();
        Time = new ManualTime();
        Shared = new GatewayShared(configure?.Invoke(options) ?? options, Router, NullLoggerFactory.Instance, clock ?? Time);
        Loop = new LoopContext(Shared, this);
        Shared.RegisterLoop(Loop.Readings);
        Loop.ReadClock();
        Session = new Session(Loop, this);
    }

    public FakeRouter Router { get; }
    public ManualTime Time { get; }
    public GatewayShared Shared { get; }
    public LoopContext Loop { get; }
    public Session Session { get; private set; }
    public int Wakes { get; private set; }
    public ConnectionInfo Info { get; }

    public void Wake() => Wakes++;

    public void Post(LoopWorkItem work)
    {
        lock (_posted)
            _posted.Enqueue(work);
    }

    /// <summary>Runs what was posted; how many there were.</summary>
    public int RunPosted()
    {
        int count = 0;
        while (true)
        {
            LoopWorkItem? work;
            lock (_posted)
            {
                if (!_posted.TryDequeue(out work))
                    return count;
            }

            work.Execute();
            count++;
        }
    }

    public void Send(string input) => Session.Receive(Encoding.Latin1.GetBytes(input));

    /// <summary>Receives into the value's own buffer as far as the session offers that; how much it took.</summary>
    public int ReceiveIntoValue(ReadOnlySpan<char> input)
    {
        if (!Session.TryGetValueTarget(out byte* target, out int bytes))
            return 0;
        int taken = Math.Min(bytes, input.Length);
        Encoding.Latin1.GetBytes(input[..taken], new Span<byte>(target, taken));
        Session.CommitValueBytes(taken);
        return taken;
    }

    /// <summary>What the session offers to receive straight into a value's buffer; 0 if nothing.</summary>
    public int ValueTargetBytes => Session.TryGetValueTarget(out _, out int bytes) ? bytes : 0;

    /// <summary>Sends, resumes until nothing changes, and reads everything.</summary>
    public string Ask(string input)
    {
        Send(input);
        return ReadAll();
    }

    /// <summary>As <see cref="Ask"/>, and moves the clock on while the session waits for it: failed logins are answered late.</summary>
    public string AskLate(string input)
    {
        string text = Ask(input);
        while (!Session.WantsInput && !Session.IsFinished)
        {
            Time.Advance(TimeSpan.FromMilliseconds(Limits.LoginDelayMilliseconds));
            Assert.True(SpinWait.SpinUntil(() => RunPosted() > 0, TimeSpan.FromSeconds(10)));
            text += ReadAll();
        }

        return text;
    }

    /// <summary>What may leave now, up to a number of bytes.</summary>
    public string Read(int bytesMax = int.MaxValue)
    {
        var text = new StringBuilder();
        while (bytesMax > 0 && !Session.Output.IsEmpty)
        {
            OutputChunk chunk = Session.Output.Head!;
            int length = Math.Min(bytesMax, chunk.End - chunk.Start);
            if (chunk.IsPin)
            {
                byte* run = chunk.Pin.GetRun(chunk.Start, out int runLength);
                length = Math.Min(length, runLength);
                text.Append(Encoding.Latin1.GetString(run, length));
            }
            else
            {
                text.Append(Encoding.Latin1.GetString(chunk.Data + chunk.Start, length));
            }

            Session.Output.Consume(length);
            bytesMax -= length;
        }

        return text.ToString();
    }

    /// <summary>Reads and resumes in turn until nothing more comes.</summary>
    public string ReadAll()
    {
        var text = new StringBuilder();
        while (true)
        {
            text.Append(Read());
            if (!Session.CanResume)
            {
                if (Session.Output.IsEmpty)
                    return text.ToString();
                continue;
            }

            Session.Resume();
        }
    }

    /// <summary>Another connection of the same loop.</summary>
    public void Reconnect() => Session = new Session(Loop, this);

    public void Dispose()
    {
        Session.Abort();
        Loop.Dispose();
    }
}

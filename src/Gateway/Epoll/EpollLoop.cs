using System.Diagnostics;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using OrleansCache.Gateway.Sessions;
using OrleansCache.Gateway.Transports;

namespace OrleansCache.Gateway.Epoll;

/// <summary>
/// One thread, one epoll, and the connections that live on it.
/// <para>
/// A turn: wait; read the clock once; serve the sockets that became ready; run what other threads posted; give another turn to connections that have
/// work left (their share was used up, or a posted reply woke them); let collected requests leave for other silos.
/// </para>
/// Posting is lock-free; the eventfd is written only when the loop sleeps, and once however many post.
/// </summary>
internal sealed unsafe class EpollLoop : ICompletionQueue, IGatewayLoop
{
    private const int EventsMax = 512;
    private const int WakeData = int.MaxValue;
    private const int AcceptPauseMilliseconds = 100;

    // What epoll tells by a negative number: listeners first, then the UDP sockets, then the same with room to send.
    private const int ListenersMax = 1 << 20;

    private static readonly long s_roundTicksMax = Stopwatch.Frequency * Limits.RoundMicrosecondsMax / 1_000_000;

    private readonly EpollTransport _transport;
    private readonly WorkQueue _work = new();
    private readonly List<EpollConnection?> _connections = [];
    private readonly Stack<int> _freeIndexes = new();
    private readonly List<EpollListener> _listeners = [];
    private readonly List<EpollDatagramPort> _ports = [];
    private readonly TaskCompletionSource _drained = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly int _epoll;
    private readonly int _wakeFd;
    private readonly Thread _thread;
    private EpollConnection? _scheduledHead;
    private EpollConnection? _scheduledTail;
    private byte* _events;
    private int _open;
    private int _sleeping;
    private int _idleCheckQueued;
    private bool _acceptPaused;
    private long _pausedAtMilliseconds;
    private bool _finishing;
    private bool _stopped;

    public EpollLoop(EpollTransport transport, int number)
    {
        _transport = transport;
        Logger = transport.Logger;
        RequestsPerTurnMax = transport.Shared.Options.RequestsPerEvent;
        _epoll = Native.EpollCreate(Native.EPOLL_CLOEXEC);
        _wakeFd = Native.EventFd(0, Native.EFD_CLOEXEC | Native.EFD_NONBLOCK);
        if (_epoll < 0 || _wakeFd < 0 || Native.Control(_epoll, Native.EPOLL_CTL_ADD, _wakeFd, Native.EPOLLIN | Native.EPOLLET, WakeData) != 0)
            throw new GatewayStartException($"cannot create an epoll loop: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastSystemError())}");
        Context = new LoopContext(transport.Shared, this);
        Context.ReadClock();
        transport.Shared.RegisterLoop(Context.Readings);
        ReceiveBuffer = (byte*)NativeMemory.AlignedAlloc(EpollConnection.ReceiveBufferBytes, 4096);
        _events = (byte*)NativeMemory.AlignedAlloc((nuint)(EventsMax * Native.EventBytes), 64);
        _thread = new Thread(Run) { IsBackground = true, Name = $"gateway-{number}" };
    }

    /// <summary>Nobody refers to the loop any more, so nobody can post to it: only now the descriptor's number may be used for something else.</summary>
    ~EpollLoop() => _ = Native.Close(_wakeFd);

    /// <summary>The descriptor of the loop's epoll.</summary>
    public int Epoll => _epoll;

    public LoopContext Context { get; }
    public ILogger Logger { get; }
    public int RequestsPerTurnMax { get; }
    public byte* ReceiveBuffer { get; private set; }

    public Task Drained => _drained.Task;

    public Task Ended => _ended.Task;

    /// <summary>Throws <see cref="GatewayStartException"/> if the system has no thread left.</summary>
    public void Start()
    {
        try
        {
            _thread.Start();
        }
        catch (Exception failure) when (failure is OutOfMemoryException or ThreadStartException)
        {
            throw new GatewayStartException("cannot start an I/O thread: the system refuses it (a limit of processes, or no memory)", failure);
        }
    }

    public void Post(LoopWorkItem work)
    {
        _work.Push(work);
        if (Volatile.Read(ref _sleeping) != 0 && Interlocked.Exchange(ref _sleeping, 0) != 0)
        {
            ulong one = 1;
            _ = Native.Write(_wakeFd, &one, sizeof(ulong));
        }
    }

    public void Post(Action work) => Post(new ActionItem(work));

    /// <summary>Takes over an accepted socket. Callable from any thread.</summary>
    public void Adopt(int fd, ConnectionInfo info)
    {
        if (Environment.CurrentManagedThreadId == _thread.ManagedThreadId)
            Open(fd, info);
        else
            Post(new ActionItem(() => Open(fd, info)));
    }

    /// <summary>Before <see cref="Start"/> or on the loop.</summary>
    public void Listen(EpollListener listener)
    {
        _listeners.Add(listener);
        if (!TryWatch(_listeners.Count - 1))
            throw new GatewayStartException($"cannot watch a listening socket: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastSystemError())}");
    }

    /// <summary>The number by which epoll tells of a UDP socket.</summary>
    public static int PortData(int index, bool sends) => ~(ListenersMax + (index * 2) + (sends ? 1 : 0));

    /// <summary>Before <see cref="Start"/>.</summary>
    public EpollDatagramPort AddPort(Socket socket, string name)
    {
        var port = new EpollDatagramPort(this, socket, name, _ports.Count);
        _ports.Add(port);
        return port;
    }

    /// <summary>On the loop.</summary>
    public void StopReceiving()
    {
        foreach (EpollDatagramPort port in _ports)
            port.StopReceiving();
    }

    public void StopListening()
    {
        foreach (EpollListener listener in _listeners)
        {
            if (!_acceptPaused)
                _ = Native.Control(_epoll, Native.EPOLL_CTL_DEL, listener.Fd, 0, 0);
            listener.Dispose();
        }

        _listeners.Clear();
    }

    public void Finish()
    {
        _finishing = true;
        foreach (EpollConnection? connection in _connections.ToArray())
            connection?.FinishAndClose();
        if (_open == 0)
            _drained.TrySetResult();
    }

    /// <summary>Ends the thread, too.</summary>
    public void Stop()
    {
        foreach (EpollConnection? connection in _connections.ToArray())
            connection?.Close();
        foreach (EpollDatagramPort port in _ports)
            port.Dispose();
        _stopped = true;
    }

    public void QueueIdleCheck(int idleTimeoutSeconds)
    {
        if (Interlocked.Exchange(ref _idleCheckQueued, 1) == 0)
            Post(new ActionItem(() => CheckIdle(idleTimeoutSeconds)));
    }

    /// <summary>Gives the connection another turn, in this round of the loop or the next.</summary>
    public void Schedule(EpollConnection connection)
    {
        if (connection.IsScheduled || connection.IsClosed)
            return;
        connection.IsScheduled = true;
        if (_scheduledTail is null)
            _scheduledHead = connection;
        else
            _scheduledTail.NextScheduled = connection;
        _scheduledTail = connection;
    }

    public void Remove(EpollConnection connection)
    {
        _connections[connection.Index] = null;
        _freeIndexes.Push(connection.Index);
        _transport.Shared.Leave(connection.Info);
        _open--;
        if (_finishing && _open == 0)
            _drained.TrySetResult();
    }

    private void Open(int fd, ConnectionInfo info)
    {
        if (_finishing || _stopped)
        {
            _ = Native.Close(fd);
            _transport.Shared.Leave(info);
            return;
        }

        if (!_freeIndexes.TryPop(out int index))
        {
            index = _connections.Count;
            _connections.Add(null);
        }

        var connection = new EpollConnection(this, fd, index, info);
        _connections[index] = connection;
        _open++;
        if (Native.Control(_epoll, Native.EPOLL_CTL_ADD, fd, Native.EPOLLIN | Native.EPOLLOUT | Native.EPOLLRDHUP | Native.EPOLLET, index) != 0)
            connection.Close();
    }

    private void Run()
    {
        try
        {
            Context.Readings.ThreadName = new FileInfo("/proc/thread-self").LinkTarget;
            while (!_stopped)
                Turn();
        }
        catch (Exception failure)
        {
            Log.LoopFailed(Logger, failure);
            _transport.Shared.Fail($"I/O loop {_thread.Name} failed: {failure.GetType().Name}: {failure.Message.ReplaceLineEndings(" ")}");
        }
        finally
        {
            Release();
        }
    }

    private void Turn()
    {
        int timeoutMilliseconds = _acceptPaused ? AcceptPauseMilliseconds : -1;
        if (_scheduledHead is not null)
        {
            timeoutMilliseconds = 0;
        }
        else
        {
            // Either the poster sees that the loop sleeps, or the loop sees the post.
            Interlocked.Exchange(ref _sleeping, 1);
            if (!_work.IsEmpty)
                timeoutMilliseconds = 0;
        }

        int count = Native.EpollWait(_epoll, _events, EventsMax, timeoutMilliseconds);
        Volatile.Write(ref _sleeping, 0);
        Context.ReadClock();
        for (int i = 0; i < count; i++)
        {
            int data = Native.EventData(_events, i);
            if (data == WakeData)
            {
                ulong ignored;
                _ = Native.Read(_wakeFd, &ignored, sizeof(ulong));
            }
            else if (data < 0)
            {
                OnListening(~data);
            }
            else
            {
                _connections[data]?.OnEvents(Native.EventFlags(_events, i));
            }
        }

        if (_acceptPaused)
            ResumeAccepting();
        RunPosted();
        RunScheduled();
        if (_scheduledHead is not null)
        {
            long began = Stopwatch.GetTimestamp();
            do
                RunScheduled();
            while (_scheduledHead is not null && Stopwatch.GetTimestamp() - began < s_roundTicksMax);
        }

        Context.Channel.Flush();
    }

    private void RunPosted()
    {
        LoopWorkItem? item = _work.TakeAll();
        while (item is not null)
        {
            LoopWorkItem? next = item.Next;
            item.Next = null;
            try
            {
                item.Execute();
            }
            catch (Exception failure)
            {
                Log.WorkFailed(Logger, failure);
            }

            item = next;
        }
    }

    /// <summary>One turn for each that is scheduled now; who schedules itself again comes with the next round.</summary>
    private void RunScheduled()
    {
        EpollConnection? connection = _scheduledHead;
        _scheduledHead = _scheduledTail = null;
        while (connection is not null)
        {
            EpollConnection? next = connection.NextScheduled;
            connection.NextScheduled = null;
            connection.IsScheduled = false;
            connection.Turn();
            connection = next;
        }
    }

    private bool TryWatch(int listener) => Native.Control(_epoll, Native.EPOLL_CTL_ADD, _listeners[listener].Fd, Native.EPOLLIN, ~listener) == 0;

    private void OnListening(int index)
    {
        int port = (index - ListenersMax) / 2;
        if (index < ListenersMax)
            AcceptFrom(index);
        else if (index % 2 == 0)
            _ports[port].ReceiveAll();
        else
            _ports[port].OnWritable();
    }

    private void AcceptFrom(int listener)
    {
        if (_acceptPaused || listener >= _listeners.Count || _listeners[listener].Accept(this, _transport))
            return;

        PauseAccepting();
    }

    /// <summary>A listening socket that cannot be served would wake the loop without end: look away for a while.</summary>
    private void PauseAccepting()
    {
        _acceptPaused = true;
        _transport.Shared.Accepting = false;
        _pausedAtMilliseconds = Environment.TickCount64;
        foreach (EpollListener one in _listeners)
            _ = Native.Control(_epoll, Native.EPOLL_CTL_DEL, one.Fd, 0, 0);
    }

    private void ResumeAccepting()
    {
        if (Environment.TickCount64 - _pausedAtMilliseconds < AcceptPauseMilliseconds)
            return;
        _acceptPaused = false;
        _transport.Shared.AcceptPauses.End(TimeSpan.FromMilliseconds(Environment.TickCount64 - _pausedAtMilliseconds));
        _transport.Shared.Accepting = _transport.IsAccepting;
        for (int i = 0; i < _listeners.Count; i++)
        {
            if (TryWatch(i))
                continue;

            // The kernel has no memory for it: pause once more.
            _transport.Shared.AcceptPauses.Begin(Marshal.GetPInvokeErrorMessage(Marshal.GetLastSystemError()));
            PauseAccepting();
            return;
        }
    }

    private void CheckIdle(int idleTimeoutSeconds)
    {
        Volatile.Write(ref _idleCheckQueued, 0);

        // Now, not at the turn's start: checks that were asked for since then rely on this one.
        Context.ReadClock();
        uint before = (uint)Math.Max(0, (long)Context.NowUnixSeconds - idleTimeoutSeconds - 1);
        for (int i = 0; i < _connections.Count; i++)
        {
            if (_connections[i] is { } connection && connection.CloseIfIdle(before))
                Context.Counters.ConnectionsIdleKicked++;
        }
    }

    private void Release()
    {
        foreach (EpollConnection? connection in _connections.ToArray())
            connection?.Close();
        foreach (EpollDatagramPort port in _ports)
            port.Dispose();
        _stopped = true;
        RunPosted();
        StopListening();
        _ = Native.Close(_epoll);
        NativeMemory.AlignedFree(ReceiveBuffer);
        NativeMemory.AlignedFree(_events);
        ReceiveBuffer = null;
        _events = null;
        Context.Dispose();
        _drained.TrySetResult();
        _ended.TrySetResult();
    }
}

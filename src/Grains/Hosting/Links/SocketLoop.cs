using System.Collections.Concurrent;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace OrleansCache.Grains.Hosting.Links;

/// <summary>
/// A thread that waits for the sockets of connections between silos and receives what comes, so that what comes is taken on the thread that the kernel woke up.
/// .NET's own loop hands each event to a pool thread: two threads woken for each message, which is most of what a message costs.
/// </summary>
internal sealed unsafe class SocketLoop : IDisposable
{
    private const int EventsMax = 64;

    private static readonly TimeSpan JoinTimeout = TimeSpan.FromSeconds(2);

    private readonly ConcurrentDictionary<long, LoopConnection> _connections = [];
    private readonly int _epoll;
    private readonly Thread _thread;
    private readonly Socket _wakeUp;
    private readonly Socket _wakeUpEnd;
    private long _lastToken;
    private volatile bool _isOver;

    public SocketLoop(string name)
    {
        _epoll = Epoll.Create();
        if (_epoll < 0)
            throw new InvalidOperationException($"epoll_create1: {Marshal.GetLastPInvokeErrorMessage()}");
        (_wakeUp, _wakeUpEnd) = Pair();
        Epoll.Add(_epoll, (int)_wakeUpEnd.Handle, Epoll.In, 0);
        _thread = new Thread(Run) { Name = name, IsBackground = true };
        _thread.Start();
    }

    /// <summary>Its events come from now on.</summary>
    public void Add(LoopConnection connection, Socket socket)
    {
        long token = Interlocked.Increment(ref _lastToken);
        connection.Token = token;
        _connections[token] = connection;
        const uint Events = Epoll.In | Epoll.Out | Epoll.PeerClosed | Epoll.EdgeTriggered;
        if (!_isOver && Epoll.Add(_epoll, (int)socket.Handle, Events, token) == 0 && !_isOver)
            return;
        _connections.TryRemove(token, out _);
        throw new IOException(_isOver ? "This silo has left." : $"epoll_ctl: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>The kernel forgets the socket when that is closed.</summary>
    public void Remove(LoopConnection connection) => _connections.TryRemove(connection.Token, out _);

    /// <summary>Ends the thread and its connections, and waits for what the thread is at: it may be in the stores.</summary>
    public void Dispose()
    {
        if (_isOver)
            return;
        _isOver = true;
        _wakeUp.Dispose();
        if (Thread.CurrentThread != _thread)
            _thread.Join(JoinTimeout);
    }

    private static (Socket One, Socket Other) Pair()
    {
        using Socket listener = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint($"\0orleanscache-loop-{Guid.NewGuid():N}"));
        listener.Listen(1);
        Socket one = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        one.Connect(listener.LocalEndPoint!);
        return (one, listener.Accept());
    }

    private void Run()
    {
        byte* events = stackalloc byte[EventsMax * Epoll.EventBytes];
        Queue<LoopConnection> more = [];
        while (!_isOver)
        {
            int count = Epoll.Wait(_epoll, events, EventsMax, more.Count > 0 ? 0 : -1);
            if (count < 0 && Marshal.GetLastPInvokeError() != Epoll.Interrupted)
                Environment.FailFast($"epoll_wait: {Marshal.GetLastPInvokeErrorMessage()}");
            int turns = more.Count;
            for (int i = 0; i < count; i++)
            {
                (uint flags, long token) = Epoll.EventAt(events, i);
                if (_connections.TryGetValue(token, out LoopConnection? connection) && HasMore(connection, flags))
                    more.Enqueue(connection);
            }

            for (; turns > 0; turns--)
            {
                LoopConnection connection = more.Dequeue();
                if (HasMore(connection, Epoll.In))
                    more.Enqueue(connection);
            }
        }

        foreach (LoopConnection connection in _connections.Values)
            connection.End();
        _wakeUpEnd.Dispose();
        _ = Epoll.Close(_epoll);
    }

    /// <summary>Whatever a reader of one connection throws, the others go on.</summary>
    private static bool HasMore(LoopConnection connection, uint flags)
    {
        try
        {
            return connection.OnEvents(flags);
        }
        catch (Exception)
        {
            connection.End();
            return false;
        }
    }
}

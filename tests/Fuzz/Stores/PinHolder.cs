using System.Collections.Concurrent;

namespace OrleansCache.Fuzz.Stores;

/// <summary>
/// Holds pins as slow readers do: each for a while, then its bytes are compared once more and it is released. On a thread of its own, or (for a run
/// that must be the same each time) whenever it is told.
/// </summary>
internal sealed class PinHolder : IDisposable
{
    private readonly ConcurrentQueue<(PinnedValue Pin, byte[] Expected)> _pins = new();
    private readonly SemaphoreSlim _work = new(0);
    private readonly Thread? _thread;
    private volatile string? _complaint;
    private volatile bool _isOver;
    private int _count;

    public PinHolder(bool ownThread)
    {
        if (!ownThread)
            return;
        _thread = new Thread(Run) { IsBackground = true, Name = "pins" };
        _thread.Start();
    }

    /// <summary>Pins that are not released yet.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>What was wrong with a value that was pinned, or null.</summary>
    public string? Complaint => _complaint;

    public void Hold(PinnedValue pin, byte[] expected)
    {
        Interlocked.Increment(ref _count);
        _pins.Enqueue((pin, expected));
    }

    /// <summary>Releases so many, or has them released.</summary>
    public void Release(int count)
    {
        for (; count > 0; count--)
        {
            if (_thread is null)
                ReleaseOne();
            else
                _work.Release();
        }
    }

    /// <summary>Releases all, and returns when that is done.</summary>
    public void ReleaseAll()
    {
        while (ReleaseOne())
        {
        }

        SpinWait.SpinUntil(() => Count == 0);
    }

    public void Dispose()
    {
        ReleaseAll();
        _isOver = true;
        _work.Release();
        _thread?.Join();
        _work.Dispose();
    }

    private void Run()
    {
        while (true)
        {
            _work.Wait();
            if (_isOver)
                return;
            ReleaseOne();
        }
    }

    private unsafe bool ReleaseOne()
    {
        if (!_pins.TryDequeue(out (PinnedValue Pin, byte[] Expected) held))
            return false;
        var cursor = default(ValueCursor);
        for (int offset = 0; offset < held.Pin.Length;)
        {
            byte* run = held.Pin.GetRun(offset, ref cursor, out int length);
            if (length <= 0 || !new ReadOnlySpan<byte>(run, length).SequenceEqual(held.Expected.AsSpan(offset, length)))
            {
                _complaint = $"a pinned value of {held.Pin.Length} bytes has changed at {offset}";
                break;
            }

            offset += length;
        }

        held.Pin.Release();
        Interlocked.Decrement(ref _count);
        return true;
    }
}

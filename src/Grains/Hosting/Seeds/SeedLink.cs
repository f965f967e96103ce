using System.Collections.Concurrent;
using OrleansCache.Grains.Hosting.Security;

namespace OrleansCache.Grains.Hosting.Seeds;

/// <summary>One connection to a seed port: several questions are under way, and each finds its answer by its number.</summary>
internal sealed class SeedLink : IAsyncDisposable
{
    public const int PendingMax = 64;
    private readonly MemberConnection _connection;
    private readonly TimeProvider _time;
    private readonly ConcurrentDictionary<int, TaskCompletionSource<SeedFrame>> _pending = [];
    private readonly SemaphoreSlim _writing = new(1);
    private readonly CancellationTokenSource _stop = new();
    private readonly Task _reading;
    private long _waitingSince;
    private int _lastNumber;
    private volatile bool _isAlive = true;

    public SeedLink(MemberConnection connection, TimeProvider time)
    {
        _connection = connection;
        _time = time;
        _reading = Task.Run(ReadAsync);
    }

    /// <summary>With questions under way and no answer for so long, nobody is there any more, or only a connection.</summary>
    public static TimeSpan SilenceMax { get; } = TimeSpan.FromSeconds(3);

    public bool IsAlive
    {
        get
        {
            long since = Volatile.Read(ref _waitingSince);
            if (_isAlive && since != 0 && _time.GetElapsedTime(since) > SilenceMax)
                Abort();
            return _isAlive;
        }
    }

    public async Task<SeedFrame> AskAsync(SeedFrameKind kind, ReadOnlyMemory<byte> payload, CancellationToken cancellationToken)
    {
        if (_pending.Count >= PendingMax)
            throw new IOException("too many questions wait for an answer");
        int number = Interlocked.Increment(ref _lastNumber);
        TaskCompletionSource<SeedFrame> answer = new(TaskCreationOptions.RunContinuationsAsynchronously);
        _pending[number] = answer;
        try
        {
            Interlocked.CompareExchange(ref _waitingSince, _time.GetTimestamp(), 0);
            await _writing.WaitAsync(cancellationToken);
            try
            {
                // Not to be given up half-way: what comes after would be read as its rest.
                await new SeedFrame(kind, number, payload).WriteAsync(_connection.Output, _stop.Token).AsTask().WaitAsync(cancellationToken);
            }
            catch (OperationCanceledException) when (cancellationToken.IsCancellationRequested)
            {
                Abort();
                throw;
            }
            finally
            {
                _writing.Release();
            }

            if (!_isAlive)
                throw new IOException("closed the connection");
            return await answer.Task.WaitAsync(cancellationToken);
        }
        catch (Exception exception) when (exception is InvalidOperationException or ObjectDisposedException)
        {
            Abort();
            throw new IOException("closed the connection", exception);
        }
        finally
        {
            _pending.TryRemove(number, out _);
        }
    }

    public async ValueTask DisposeAsync()
    {
        Abort();
        await _reading;
    }

    private void Abort()
    {
        _isAlive = false;
        _connection.Abort();
    }

    private async Task ReadAsync()
    {
        string reason = "closed the connection";
        try
        {
            while (await SeedFrame.ReadAsync(_connection.Input, _stop.Token) is { } frame)
            {
                Volatile.Write(ref _waitingSince, 0);
                if (_pending.TryRemove(frame.Number, out TaskCompletionSource<SeedFrame>? asked))
                    asked.TrySetResult(frame);
            }
        }
        catch (Exception exception)
            when (exception is IOException or InvalidDataException or OperationCanceledException or ObjectDisposedException or InvalidOperationException)
        {
            reason = exception.Message;
        }

        _isAlive = false;
        _connection.Abort();
        foreach (TaskCompletionSource<SeedFrame> asked in _pending.Values)
            asked.TrySetException(new IOException(reason));
        await _connection.DisposeAsync();
    }
}

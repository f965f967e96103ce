using System.Buffers;
using System.Diagnostics;
using System.Threading.Tasks.Sources;

namespace OrleansCache.Client.Entries;

/// <summary>What becomes of the value that a read finds.</summary>
internal enum ValueUse : byte
{
    /// <summary>There is none, or nobody wants it.</summary>
    None = 0,

    /// <summary>An array of its own.</summary>
    Array,

    /// <summary>It is written into the caller's <see cref="IBufferWriter{T}"/>.</summary>
    Writer,
}

/// <summary>
/// One call of a caller who waits, from its beginning to the moment when both the caller and whoever works for him are through with it; then it is used again.
/// It is its own ValueTask, so a call allocates nothing.
/// <para>
/// The caller can leave at any time (cancelled, timed out): then the operation is abandoned, and stays as long as it is referenced, because its reply still has
/// to be taken from the connection in its turn. <see cref="Gate"/> keeps the two sides apart: the caller's memory (the value that he stores) is only touched
/// while it is held and the operation is pending; his writer only by his own thread, when he takes the result.
/// </para>
/// Continuations never run on the thread that completes: it serves everybody else's replies as well.
/// </summary>
internal abstract class PendingOperation : IValueTaskSource, IValueTaskSource<bool>, IValueTaskSource<byte[]?>
{
    private ManualResetValueTaskSourceCore<bool> _source = new() { RunContinuationsAsynchronously = true };
    private CancellationTokenRegistration _registration;
    private CancellationToken _cancellationToken;
    private IBufferWriter<byte>? _writer;
    private byte[]? _bytes;
    private int _offset, _length;
    private int _references;
    private bool _isPooledArray;

    /// <summary>Held for moments only, and taken behind a connection's own lock.</summary>
    protected Lock Gate { get; } = new();

    protected bool IsPending { get; private set; }

    /// <summary>When the call fails if it has not ended by then, by the clock's timestamps.</summary>
    public long DueAt { get; private set; }

    /// <summary>What the caller wants of a value. Fixed until the next life.</summary>
    public ValueUse ValueUse { get; private set; }

    /// <summary>Begins a call. The caller holds the first reference; taking the result gives it back.</summary>
    protected void Begin(ValueUse valueUse, IBufferWriter<byte>? writer, long dueAt)
    {
        Debug.Assert(_references == 0 && !IsPending);
        _references = 1;
        ValueUse = valueUse;
        _writer = writer;
        DueAt = dueAt;

        // Whoever sees it pending (a timer may still look at its former life) sees all of it.
        lock (Gate)
            IsPending = true;
    }

    /// <summary>The call ends when this token is cancelled. Behind <see cref="Begin"/>, before anybody else knows of the operation.</summary>
    protected void Watch(CancellationToken cancellationToken)
    {
        if (!cancellationToken.CanBeCanceled)
            return;
        _cancellationToken = cancellationToken;
        _registration = cancellationToken.UnsafeRegister(static state => ((PendingOperation)state!).Cancel(), this);
    }

    public ValueTask AsValueTask() => new(this, _source.Version);

    public ValueTask<bool> AsFound() => new(this, _source.Version);

    public ValueTask<byte[]?> AsValue() => new(this, _source.Version);

    public void AddReference() => Interlocked.Increment(ref _references);

    public void Release()
    {
        if (Interlocked.Decrement(ref _references) == 0)
        {
            Reset();
            GiveBack();
        }
    }

    /// <summary>
    /// Memory for the value that was found, to be filled and then handed over by <see cref="Complete"/>. Returns the array; it has at least so many bytes.
    /// </summary>
    public byte[] RentValue(int bytes, bool asArray)
    {
        Debug.Assert(_bytes is null);
        _offset = 0;
        _length = bytes;
        _isPooledArray = !asArray;
        return _bytes = asArray ? (bytes == 0 ? [] : GC.AllocateUninitializedArray<byte>(bytes)) : ArrayPool<byte>.Shared.Rent(bytes);
    }

    /// <summary>The bytes that <see cref="RentValue"/> gave.</summary>
    public ReadOnlySpan<byte> Value => _bytes.AsSpan(_offset, _length);

    /// <summary>The first bytes of the value are not the caller's.</summary>
    public void SkipValueBytes(int bytes)
    {
        _offset += bytes;
        _length -= bytes;
    }

    /// <summary>Drops what <see cref="RentValue"/> gave.</summary>
    public void DropValue()
    {
        if (_isPooledArray && _bytes is not null)
            ArrayPool<byte>.Shared.Return(_bytes);
        _bytes = null;
        _length = 0;
        _isPooledArray = false;
    }

    /// <summary>The reply has come. Without effect if the caller has left.</summary>
    public void Complete(bool found)
    {
        lock (Gate)
        {
            if (!IsPending)
                return;
            IsPending = false;
        }

        _source.SetResult(found);
    }

    /// <summary>The operation has failed. False if it had ended before.</summary>
    public bool Fail(Exception exception)
    {
        lock (Gate)
        {
            if (!IsPending)
                return false;
            IsPending = false;
            OnEnded();
        }

        _source.SetException(exception);
        return true;
    }

    /// <summary>As <see cref="Fail"/>, if it is still the call that is overdue, and not already the next one.</summary>
    public bool FailIfDue(long now, Func<PendingOperation, Exception> makeException)
    {
        Exception exception;
        lock (Gate)
        {
            if (!IsPending || DueAt > now)
                return false;
            IsPending = false;
            OnEnded();
            exception = makeException(this);
        }

        _source.SetException(exception);
        return true;
    }

    private void Cancel() => Fail(new OperationCanceledException(_cancellationToken));

    /// <summary>The caller's memory must not be touched any more. <see cref="Gate"/> is held.</summary>
    protected virtual void OnEnded()
    {
    }

    /// <summary>Nobody refers to the operation any more.</summary>
    protected abstract void GiveBack();

    /// <summary>Ready for the next life.</summary>
    protected virtual void Reset()
    {
        DropValue();
        _writer = null;
        ValueUse = ValueUse.None;
        IsPending = false;
        _source.Reset();
    }

    public ValueTaskSourceStatus GetStatus(short token) => _source.GetStatus(token);

    public void OnCompleted(Action<object?> continuation, object? state, short token, ValueTaskSourceOnCompletedFlags flags) =>
        _source.OnCompleted(continuation, state, token, flags);

    void IValueTaskSource.GetResult(short token) => TakeFound(token);

    bool IValueTaskSource<bool>.GetResult(short token) => TakeFound(token);

    byte[]? IValueTaskSource<byte[]?>.GetResult(short token)
    {
        try
        {
            return _source.GetResult(token) ? TakeArray() : null;
        }
        finally
        {
            End();
        }
    }

    private bool TakeFound(short token)
    {
        try
        {
            bool found = _source.GetResult(token);
            if (found && _writer is not null)
                _writer.Write(Value);
            return found;
        }
        finally
        {
            End();
        }
    }

    private byte[] TakeArray()
    {
        if (_bytes is null || _isPooledArray || _offset != 0 || _length != _bytes.Length)
            return Value.ToArray();
        byte[] bytes = _bytes;
        _bytes = null;
        return bytes;
    }

    /// <summary>The caller is through. Disposing waits for a cancellation that is just being carried out: behind it the operation may live again.</summary>
    private void End()
    {
        _registration.Dispose();
        _registration = default;
        _cancellationToken = default;
        Release();
    }
}

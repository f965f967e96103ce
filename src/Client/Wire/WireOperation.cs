using System.Buffers;
using Microsoft.Extensions.ObjectPool;
using OrleansCache.Client.Entries;
using OrleansCache.Protocol.Meta;

namespace OrleansCache.Client.Wire;

/// <summary>What an operation asks a gateway for.</summary>
internal enum WireCommand : byte
{
    None = 0,

    /// <summary>Reads the value. A sliding entry is extended behind it.</summary>
    Get,

    /// <summary>Stores a value.</summary>
    Set,

    /// <summary>Removes an entry, whether it is there or not.</summary>
    Remove,

    /// <summary>Extends a sliding entry: first its flags are read, then its life is extended, by <see cref="Extend"/>.</summary>
    Refresh,

    /// <summary>Refresh of an entry with a deadline, which stands in its value.</summary>
    RefreshByValue,

    /// <summary>Sets an item's expiry, if it is still the one that was read: else the former expiry comes back.</summary>
    Extend,

    /// <summary>Asks for the list of gateways.</summary>
    Discover,
}

/// <summary>
/// An operation as it crosses a connection: it writes its command, as often as it is sent, and keeps what its reply is judged by. See
/// <see cref="PendingOperation"/> for its life.
/// </summary>
internal sealed class WireOperation : PendingOperation
{
    /// <summary>An item that changes hands so often while its expiry is set keeps what it has.</summary>
    private const int RepairsMax = 3;

    private static readonly ObjectPool<WireOperation> s_pool = new DefaultObjectPool<WireOperation>(new Policy(), 1024);

    private readonly byte[] _wireKey = new byte[Limits.KeyBytesMax];
    private int _wireKeyBytes;
    private bool _isBase64;
    private ReadOnlySequence<byte> _value;
    private int _valueBytes;
    private EntryLifetime _lifetime;
    private long _exptime;
    private uint _expectedFlags;
    private int _repairs;

    private WireOperation()
    {
    }

    public WireCommand Command { get; private set; }

    /// <summary>Where its command begins in all that the connection has been given to send.</summary>
    public long SentAt { get; set; }

    /// <summary>Times that a connection was lost under it.</summary>
    public int Losses { get; set; }

    /// <summary>Bytes of its command at most.</summary>
    public int CommandBytesMax => MetaRequest.LineBytesMax + EntryLifetime.DeadlineBytes + _valueBytes + 2;

    /// <summary>What the command does can be done twice: a read, or a write whose repetition loses an entry at worst.</summary>
    public bool IsRepeatable => Command != WireCommand.Set;

    public int ValueBytes => _valueBytes;

    public static WireOperation Rent(WireCommand command, ValueUse valueUse, IBufferWriter<byte>? writer, long dueAt)
    {
        WireOperation operation = s_pool.Get();
        operation.Command = command;
        operation.Begin(valueUse, writer, dueAt);
        return operation;
    }

    public void SetKey(CacheKey keys, string key)
    {
        Span<byte> raw = stackalloc byte[Limits.KeyBytesMax];
        int length = keys.Encode(key, raw, out _isBase64);
        raw = raw[..length];
        if (_isBase64)
        {
            _wireKeyBytes = MetaRequest.EncodeKey(raw, _wireKey);
            return;
        }

        raw.CopyTo(_wireKey);
        _wireKeyBytes = length;
    }

    /// <summary>What is stored. The value is the caller's, and read while he waits.</summary>
    public void SetValue(ReadOnlySequence<byte> value, int valueBytes, in EntryLifetime lifetime)
    {
        _value = value;
        _valueBytes = valueBytes;
        _lifetime = lifetime;
    }

    public new void Watch(CancellationToken cancellationToken) => base.Watch(cancellationToken);

    /// <summary>An operation that nobody waits for: extends the entry that <paramref name="read"/> has just read.</summary>
    public static WireOperation RentExtension(WireOperation read, uint clientFlags, long exptime, long dueAt)
    {
        WireOperation operation = Rent(WireCommand.Extend, ValueUse.None, null, dueAt);
        read._wireKey.AsSpan(0, read._wireKeyBytes).CopyTo(operation._wireKey);
        operation._wireKeyBytes = read._wireKeyBytes;
        operation._isBase64 = read._isBase64;
        operation._exptime = exptime;
        operation._expectedFlags = clientFlags;
        return operation;
    }

    /// <summary>The same caller waits on, for another command. Called between its reply and its next place in a connection.</summary>
    public void Become(WireCommand command, uint clientFlags = 0, long exptime = 0)
    {
        DropValue();
        Command = command;
        _expectedFlags = clientFlags;
        _exptime = exptime;
    }

    /// <summary>
    /// Of an Extend that was answered: true if the item was the one that was meant. Else another has been stored meanwhile and got an expiry that was not its
    /// own: the operation is made to give it back what it had.
    /// </summary>
    public bool HasExtendedTheRight(in MetaReplyLine line, DateTimeOffset now)
    {
        if (line.Kind != MetaReplyKind.Done || line.ClientFlags == _expectedFlags || _repairs == RepairsMax)
            return true;
        _repairs++;
        _expectedFlags = line.ClientFlags;
        _exptime = line.SecondsToLive < 0 ? 0 : EntryLifetime.ExptimeOf(TimeSpan.FromSeconds(line.SecondsToLive), now);
        return false;
    }

    /// <summary>Writes the command. False, and nothing is written, if the caller has left.</summary>
    /// <param name="destination">Room for <see cref="CommandBytesMax"/>.</param>
    /// <param name="written">Bytes written.</param>
    public bool TryWrite(Span<byte> destination, out int written)
    {
        lock (Gate)
        {
            written = 0;
            if (!IsPending)
                return false;
            ReadOnlySpan<byte> key = _wireKey.AsSpan(0, _wireKeyBytes);
            switch (Command)
            {
                case WireCommand.Get:
                case WireCommand.RefreshByValue:
                    written = MetaRequest.WriteGet(destination, key, _isBase64, withValue: true, null);
                    break;
                case WireCommand.Refresh:
                    written = MetaRequest.WriteGet(destination, key, _isBase64, withValue: false, null);
                    break;
                case WireCommand.Extend:
                    written = MetaRequest.WriteGet(destination, key, _isBase64, withValue: false, _exptime);
                    break;
                case WireCommand.Remove:
                    written = MetaRequest.WriteDelete(destination, key, _isBase64);
                    break;
                case WireCommand.Discover:
                    "config get cluster\r\n"u8.CopyTo(destination);
                    written = "config get cluster\r\n"u8.Length;
                    break;
                default:
                    written = WriteSet(destination, key);
                    break;
            }

            return true;
        }
    }

    private int WriteSet(Span<byte> destination, ReadOnlySpan<byte> key)
    {
        int deadlineBytes = _lifetime.HasDeadline ? EntryLifetime.DeadlineBytes : 0;
        int position = MetaRequest.WriteSet(destination, key, _isBase64, _valueBytes + deadlineBytes, _lifetime.ClientFlags, _lifetime.Exptime);
        if (deadlineBytes > 0)
        {
            EntryLifetime.WriteDeadline(destination[position..], _lifetime.DeadlineMilliseconds);
            position += deadlineBytes;
        }

        _value.CopyTo(destination[position..]);
        position += _valueBytes;
        "\r\n"u8.CopyTo(destination[position..]);
        return position + 2;
    }

    protected override void OnEnded() => _value = default;

    protected override void Reset()
    {
        base.Reset();
        _value = default;
        _valueBytes = 0;
        _lifetime = default;
        _exptime = 0;
        _expectedFlags = 0;
        _repairs = 0;
        Losses = 0;
        Command = WireCommand.None;
    }

    protected override void GiveBack() => s_pool.Return(this);

    private sealed class Policy : PooledObjectPolicy<WireOperation>
    {
        public override WireOperation Create() => new();

        public override bool Return(WireOperation obj) => true;
    }
}

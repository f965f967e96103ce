using OrleansCache.Protocol.Binary;
using OrleansCache.Protocol.Text;

namespace OrleansCache.Gateway.Sessions;

// What a session does when the buffers of all connections hold as much as they may.
internal sealed partial class Session
{
    // A read of a large value waits for room: nothing behind it is worked on. The place tells one such read from the next.
    private bool _waitsForRoom;
    private long _roomPlace = -1;
    private uint _roomUntilUnixSeconds;

    /// <summary>The read that waits for room may try again.</summary>
    public void RetryRoom()
    {
        if (!_waitsForRoom || IsAborted)
            return;
        _waitsForRoom = false;
        _transport.Wake();
    }

    /// <summary>
    /// Begins to wait, or goes on; false if this read has waited for long enough. <paramref name="keysLength"/> tells the keys of a get apart.
    /// </summary>
    private bool TryWaitForRoom(int keysLength)
    {
        long place = (Commands * Limits.GetLineBytesMax) + keysLength;
        if (place != _roomPlace)
        {
            _roomPlace = place;
            _roomUntilUnixSeconds = _loop.NowUnixSeconds + Limits.RoomWaitSecondsMax;
        }
        else if (_loop.NowUnixSeconds >= _roomUntilUnixSeconds)
        {
            _loop.Counters.RepliesRefused++;
            return false;
        }

        _waitsForRoom = true;
        _loop.WaitForRoom(this);
        return true;
    }

    private bool TryWaitForRoom(MetaSink sink)
    {
        sink.LacksRoom = false;
        Commands--; // It comes again.
        if (TryWaitForRoom(0))
            return true;
        Commands++;
        CurrentOutput.Write(TextReply.OutOfMemoryWriting);
        return false;
    }

    private void WaitForRoom(BinarySink sink)
    {
        sink.LacksRoom = false;
        Commands--; // It comes again.
        if (TryWaitForRoom(0))
            return;
        Commands++;
        CurrentOutput.Commit(BinaryReply.WriteError(CurrentOutput.Reserve(BinaryReply.ReplyBytesMax), sink.Opcode, BinaryStatus.OutOfMemory, sink.Opaque));
    }

    /// <summary>
    /// Whether a value that arrives may grow by so many bytes. If not, it is refused as one for which the store has no memory, and what is to come of it
    /// swallowed.
    /// </summary>
    private bool HasRoomFor(IncomingValue value, int bytes)
    {
        if (!value.MustGrow(bytes, out int growth) || _loop.Chunks.HasRoom(growth))
            return true;
        _value = null;
        _swallowBytes = value.Missing;
        _loop.Counters.ReadBuffersRefused++;
        if (_wire == Wire.Binary)
        {
            Span<byte> reply = CurrentOutput.Reserve(BinaryReply.ReplyBytesMax);
            CurrentOutput.Commit(BinaryReply.WriteError(reply, value.Opcode, BinaryStatus.OutOfMemory, value.Opaque));
        }
        else
        {
            // A set that fails takes the former value with it.
            if (value.Verb == TextVerb.Set)
                DeleteBeforeError(value.Key, noReply: true);
            if (!value.NoReply)
                CurrentOutput.Write(TextReply.OutOfMemoryStoring);
        }

        _loop.ReturnValue(value);
        return false;
    }
}

namespace OrleansCache.Gateway.Sessions;

// What a session is asked that serves one datagram at a time.
internal sealed partial class Session
{
    /// <summary>All that has been asked for is answered. The answers need not have been sent.</summary>
    public bool IsSettled => _replyHead is null && _waiting == 0 && _barrier == Barrier.None && _backlog is null;

    /// <summary>Bytes of replies that are here, those that wait behind another silo's included.</summary>
    public long ReplyBytes => Output.Bytes + _heldBytes + (_replyTail?.Tail.Bytes ?? 0);

    /// <summary>A command without a key was among what was received.</summary>
    public bool HasAdministered { get; private set; }

    /// <summary>Nothing more will come for what has been received: a command that does not end in it is dropped. True if there was one.</summary>
    public bool DropIncomplete()
    {
        bool isIncomplete = _line is not null || _value is not null;
        ReleaseInput();
        _lineMayBeLong = false;
        _closeAfterSwallow = false;
        return isIncomplete;
    }

    /// <summary>Makes a settled session, whose replies have been sent, as good as new. False if it is not one that could be.</summary>
    public bool TryRestart()
    {
        if (_isClosing || IsAborted || !IsSettled || !Output.IsEmpty || _line is not null || _value is not null || _swallowBytes != 0)
            return false;
        _wire = Wire.Undecided;
        HasAdministered = false;
        return true;
    }
}

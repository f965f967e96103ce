using System.Runtime.CompilerServices;

namespace OrleansCache.Storage;

public sealed unsafe partial class PartitionStore
{
    private FlushedKeys? _flushed;

    /// <summary>A key is not here: was it flushed? Returns 0, no item.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private uint CountFlushed(ulong keyHash)
    {
        if (_flushed!.TryTake(keyHash))
        {
            _shard.Counters.GetFlushed++;
            if (_flushed.IsEmpty)
                _flushed = null;
        }

        return 0;
    }

    private void FlushNow()
    {
        _flushed = FlushedKeys.Of(in _index, _arena.Options.PartitionCount) ?? _flushed;
        Clear();
    }
}

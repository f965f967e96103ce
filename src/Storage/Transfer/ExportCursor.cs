namespace OrleansCache.Storage;

/// <summary>Where an export stands; default is the beginning. Any number may run at a time, also over moves of the partition.</summary>
public struct ExportCursor
{
    /// <summary>Place in the order of <see cref="PartitionStore.Scan"/> of the next item.</summary>
    internal ulong Position { get; set; }

    /// <summary>Place of the last item exported.</summary>
    internal uint LastOrder { get; set; }

    /// <summary>Items exported so far.</summary>
    public long ItemCount { readonly get; internal set; }

    /// <summary>Of a copy as effects: the position in the partition's log at which the last part was read.</summary>
    public long LogPosition { readonly get; internal set; }
}

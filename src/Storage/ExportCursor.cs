namespace OrleansCache.Storage;

/// <summary>
/// Where an export stands; default is the beginning. One export of a partition runs at a time: beginning a second one sends the cursor of the first
/// back to the beginning of the class that it had reached (so items may come twice, none is left out).
/// </summary>
public struct ExportCursor
{
    internal int ExportId { get; set; }
    internal int ClassIndex { get; set; }

    /// <summary>Items exported so far.</summary>
    public long ItemCount { readonly get; internal set; }
}

namespace OrleansCache.Ownership;

/// <summary>
/// This process's copy of the partition table. It may be stale: a reader that is told "not owner" asks for a refresh and tries again.
/// </summary>
public interface ITableCache
{
    /// <summary>The newest table known here. Only ever replaced by a newer one.</summary>
    PartitionTable Current { get; }

    /// <summary>The silo that lives in this process; <see cref="SiloId.IsNone"/> in a gateway that runs alone.</summary>
    SiloId LocalSilo { get; }

    /// <summary>Called after <see cref="Current"/> has changed, on any thread, one call at a time. Handlers return quickly and do not throw.</summary>
    event Action<PartitionTable>? Changed;

    /// <summary>
    /// Asks for a newer table soon, from any process that has one. Cheap, never blocks, and bounded: calls while a refresh is under way add nothing.
    /// </summary>
    void RequestRefresh();
}

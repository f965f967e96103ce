namespace OrleansCache.Storage;

/// <summary>Whether a partition's gate lets requests through.</summary>
public enum PartitionState
{
    /// <summary>Requests are executed.</summary>
    Active = 0,

    /// <summary>Requests are turned away; the items are kept, for export, or for import before the partition opens.</summary>
    Sealed = 1,

    /// <summary>Closed for good; the pages are back in the arena.</summary>
    Gone = 2,
}

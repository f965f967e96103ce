namespace OrleansCache.Storage;

/// <summary>How an import ended.</summary>
public enum ImportStatus
{
    Ok = 0,

    /// <summary>The input is not what Export writes, or belongs to another partition. Nothing of it was taken over.</summary>
    Malformed = 1,

    /// <summary>Items were left out because no memory could be freed for them; the others are in.</summary>
    OutOfMemory = 2,

    /// <summary>The partition is gone.</summary>
    Gone = 3,
}

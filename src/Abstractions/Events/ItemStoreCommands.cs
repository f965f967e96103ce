namespace OrleansCache;

/// <summary>From requests to the words of event lines.</summary>
public static class ItemStoreCommands
{
    /// <summary>The command that a store request stands for.</summary>
    public static ItemStoreCommand Of(CacheOperation operation, bool comparesCas) => operation switch
    {
        CacheOperation.Add => ItemStoreCommand.Add,
        CacheOperation.Append => ItemStoreCommand.Append,
        CacheOperation.Prepend => ItemStoreCommand.Prepend,
        _ when comparesCas => ItemStoreCommand.Cas,
        CacheOperation.Replace => ItemStoreCommand.Replace,
        _ => ItemStoreCommand.Set,
    };
}

namespace OrleansCache.Testing;

/// <summary>What random requests draw from.</summary>
internal static class RequestFlagChoices
{
    private static readonly RequestFlags[] s_get =
    [
        RequestFlags.Touch, RequestFlags.Peek, RequestFlags.Recache, RequestFlags.TakeToken, RequestFlags.CreateOnMiss, RequestFlags.CompareCas,
        RequestFlags.FormerExpiry, RequestFlags.RecacheBeforeTouch, RequestFlags.ExplicitCas,
    ];

    private static readonly RequestFlags[] s_touch = [RequestFlags.MetaCommand];

    private static readonly RequestFlags[] s_delete =
    [
        RequestFlags.CompareCas, RequestFlags.Invalidate, RequestFlags.DropValue, RequestFlags.Touch, RequestFlags.RefusedStore,
        RequestFlags.ExplicitCas, RequestFlags.MetaCommand,
    ];

    private static readonly RequestFlags[] s_count =
        [RequestFlags.CompareCas, RequestFlags.CreateOnMiss, RequestFlags.Touch, RequestFlags.FormerExpiry, RequestFlags.ExplicitCas];

    private static readonly RequestFlags[] s_store =
        [RequestFlags.CompareCas, RequestFlags.Invalidate, RequestFlags.BinaryKey, RequestFlags.CreateOnMiss, RequestFlags.ExplicitCas];

    /// <summary>The flags that mean something for the operation, but for that which asks for the value.</summary>
    public static RequestFlags[] Of(CacheOperation operation) => operation switch
    {
        CacheOperation.Get => s_get,
        CacheOperation.Touch => s_touch,
        CacheOperation.Delete => s_delete,
        CacheOperation.Increment or CacheOperation.Decrement => s_count,
        _ => s_store,
    };
}

namespace OrleansCache.Gateway.Transports;

/// <summary>A delegate posted to a loop; for the cold paths.</summary>
internal sealed class ActionItem(Action action) : LoopWorkItem
{
    public override void Execute() => action();
}

using OrleansCache.Gateway.Stats;

namespace OrleansCache.Gateway.Sessions;

// Questions about the whole cluster that other servers' clients ask.
internal sealed partial class Session
{
    /// <summary>The item under which clients of old ElastiCache servers look for the list of gateways.</summary>
    private static ReadOnlySpan<byte> DiscoveryKey => "AmazonElastiCache:cluster"u8;

    private void AnswerDiscovery(bool asItem) =>
        Collect(ClusterText.DiscoveryAsync(_loop.Shared, asItem), static (session, text) => session.CurrentOutput.Write(text));
}

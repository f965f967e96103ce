namespace OrleansCache.Chaos;

/// <summary>The run cannot go on: a silo has ended, the cluster does not come to rest, or the network cannot be made.</summary>
internal sealed class ChaosException(string message) : Exception(message);

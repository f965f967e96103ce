namespace OrleansCache.Ownership.Routing;

/// <summary>Brings other silos' events to a watcher here.</summary>
public interface IClusterWatch
{
    /// <summary>As <see cref="IPartitionRouter.WatchAsync"/>; <paramref name="here"/> are this process's own events.</summary>
    ValueTask<IEventFeed?> WatchAsync(EventLog here, EventKinds kinds, int bytesMax, Action wake, CancellationToken cancellationToken);
}

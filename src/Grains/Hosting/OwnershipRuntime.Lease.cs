using OrleansCache.Ownership.Routing;

namespace OrleansCache.Grains.Hosting;

// Leases: whether this silo may serve on without a coordinator, and whether its coordinator may say so.
internal sealed partial class OwnershipRuntime
{
    /// <summary>So few silos answer that only the membership store can say whether this one is cut off.</summary>
    private async Task ConfirmMembershipAsync()
    {
        if (Interlocked.Exchange(ref _membershipConfirming, 1) != 0)
            return;
        try
        {
            await _membership.Refresh(default).AsTask().WaitAsync(ConfirmTimeout, _time).ConfigureAwait(false);
            lock (_lock)
            {
                _coordinator.OnMembershipConfirmed(NowMilliseconds);
            }
        }
        catch (Exception)
        {
            // Asked again with the next tick.
        }
        finally
        {
            Volatile.Write(ref _membershipConfirming, 0);
        }
    }

    private void TellLease()
    {
        bool isOver = _freeze.IsLeaseOver;
        if (isOver == _isLeaseOver || (!isOver && !_freeze.MayServe))
            return;
        _isLeaseOver = isOver;
        if (isOver)
            LogLeaseOver(_journalLogger, FreezeDetector.LeaseLength.TotalSeconds);
        else
            LogLeaseBack(_journalLogger);
    }
}

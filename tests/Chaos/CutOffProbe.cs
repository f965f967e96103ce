namespace OrleansCache.Chaos;

/// <summary>
/// Reads through the gateway of a silo that is cut off, all the time, what that silo owned before: what it still answers, until when, and whether it may.
/// </summary>
internal sealed class CutOffProbe(Silo silo, IReadOnlyList<KeyClient> owned, Fleet fleet, Findings findings, double cutMilliseconds)
{
    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(12);
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(20);
    private static readonly TimeSpan s_errorPause = TimeSpan.FromMilliseconds(50);

    private static readonly TimeSpan s_lostPause = TimeSpan.FromMilliseconds(500);

    private readonly Lock _lock = new();

    /// <summary>When the last request was sent that was answered with a value, in seconds after the cut; 0 if there was none.</summary>
    public double LastAnswerSeconds { get; private set; }

    /// <summary>The same of the last value that was out of date.</summary>
    public double LastOldSeconds { get; private set; }

    public Task RunAsync(CancellationToken cancellation) =>
        Task.WhenAll(owned.Select(key => Task.Run(() => ReadAsync(key, cancellation), CancellationToken.None)));

    /// <summary>A connection for each key, because a read waits where a write of the key is not acknowledged yet.</summary>
    private async Task ReadAsync(KeyClient key, CancellationToken cancellation)
    {
        var client = new TextClient(silo.Gateway, s_timeout);
        try
        {
            while (!silo.Process.HasExited)
            {
                TimeSpan pause = s_errorPause;
                try
                {
                    pause = await ReadOneAsync(client, key) ? s_pause : s_errorPause;
                }
                catch (ConnectionLostException)
                {
                    findings.NoteCut(isApart: true);
                    pause = s_lostPause;
                    client.Dispose();
                    client = new TextClient(silo.Gateway, s_timeout);
                }

                await Task.Delay(pause, cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            // The end of the fault.
        }
        finally
        {
            client.Dispose();
        }
    }

    /// <summary>Returns whether there was an answer other than an error.</summary>
    private async Task<bool> ReadOneAsync(TextClient client, KeyClient key)
    {
        long acknowledged = key.Acknowledged, before = key.AcknowledgedBefore;
        double sent = findings.NowMilliseconds;
        (Dictionary<string, string>? found, string line) = await client.GetAsync([key.Key]);
        findings.CountOperations(1);
        if (found is null)
        {
            findings.NoteRefusal($"get {key.Key} through {silo}, which is cut off: {line}", isApart: true);
            return false;
        }

        double afterSeconds = (sent - cutMilliseconds) / 1000;
        string what = FormattableString.Invariant($"{key.Key} through {silo}, asked {afterSeconds:f3} s after the cut, answered ")
            + FormattableString.Invariant($"{(findings.NowMilliseconds - cutMilliseconds) / 1000:f3} s after it");
        if (!found.TryGetValue(key.Key, out string? value))
        {
            findings.NoteLost($"{what}: gone");
            return true;
        }

        long version = key.VersionOf(value);
        bool isOld = version < acknowledged && !key.IsUnanswered(version);
        if (version == 0)
            findings.NoteForeign($"{what}: `{(value.Length <= 60 ? value : value[..60])}`");
        else if (isOld && (version < before || !fleet.MayServeOld(silo, sent, findings.NowMilliseconds)))
            findings.NoteStale($"{what}: version {version}; before the cut {before}, when asked {acknowledged}");
        else if (isOld)
            findings.NoteOldValue();
        lock (_lock)
        {
            LastAnswerSeconds = Math.Max(LastAnswerSeconds, afterSeconds);
            if (isOld)
                LastOldSeconds = Math.Max(LastOldSeconds, afterSeconds);
        }

        return true;
    }
}

namespace OrleansCache.Membership;

/// <summary>The newest sign of life of each row, in memory, bounded in number and age. Not safe for concurrent use.</summary>
internal sealed class AliveTable
{
    private readonly Dictionary<string, (long Ticks, DateTimeOffset HeardAt)> _rows = [];

    public void Set(string key, long ticks, DateTimeOffset now)
    {
        if (_rows.TryGetValue(key, out (long Ticks, DateTimeOffset HeardAt) known))
            ticks = Math.Max(ticks, known.Ticks);
        else if (_rows.Count == Limits.AliveRowsMax)
            _rows.Remove(_rows.MinBy(static row => row.Value.HeardAt).Key);
        _rows[key] = (ticks, now);
    }

    public (string Key, long Ticks)[] Rows(DateTimeOffset now)
    {
        foreach ((string key, (_, DateTimeOffset heardAt)) in _rows)
        {
            if (now - heardAt > TimeSpan.FromMinutes(Limits.AliveMinutesMax))
                _rows.Remove(key);
        }

        return [.. _rows.Select(static row => (row.Key, row.Value.Ticks))];
    }
}

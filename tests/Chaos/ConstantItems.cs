using System.Globalization;

namespace OrleansCache.Chaos;

/// <summary>Items that are written once, at the start, and must be found ever after: read at random all the time, and all of them when asked for.</summary>
internal sealed class ConstantItems(int count, int seed, Fleet fleet, Findings findings)
{
    private const int BatchMax = 100;

    private static readonly TimeSpan s_timeout = TimeSpan.FromSeconds(12);
    private static readonly TimeSpan s_retryPause = TimeSpan.FromMilliseconds(5);
    private static readonly TimeSpan s_pause = TimeSpan.FromMilliseconds(10);

    private readonly bool[] _isMissing = new bool[count];
    private readonly Lock _lock = new();

    public async Task WriteAsync(CancellationToken cancellation)
    {
        int part = (count + 3) / 4;
        await Task.WhenAll(Enumerable.Range(0, 4).Select(number => Task.Run(
            async () =>
            {
                using var client = new TextClient(fleet.Silos[number % fleet.Silos.Count].Gateway, s_timeout);
                int end = Math.Min(count, (number + 1) * part);
                for (int start = number * part; start < end; start += BatchMax)
                {
                    IEnumerable<int> batch = Enumerable.Range(start, Math.Min(BatchMax, end - start));
                    if (!await client.SetManyAsync([.. batch.Select(index => (KeyOf(index), ValueOf(index)))]))
                        throw new ChaosException($"Items {start} and up are not stored\n{fleet.Output()}");
                }
            },
            cancellation)));
    }

    /// <summary>Reads some, again and again.</summary>
    public async Task ReadAsync(CancellationToken cancellation)
    {
        var random = new Random(seed ^ 0x0c05);
        try
        {
            while (!cancellation.IsCancellationRequested)
            {
                await CheckAsync([.. Enumerable.Range(0, 20).Select(_ => random.Next(count)).Distinct()], random.Next(100), cancellation);
                await Task.Delay(s_pause, cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            // The end of the run.
        }
    }

    /// <summary>Reads all of them once.</summary>
    public async Task CheckAllAsync(CancellationToken cancellation)
    {
        await Task.WhenAll(Enumerable.Range(0, 2).Select(number => Task.Run(
            async () =>
            {
                for (int start = number * BatchMax; start < count; start += 2 * BatchMax)
                    await CheckAsync([.. Enumerable.Range(start, Math.Min(BatchMax, count - start))], number, cancellation);
            },
            cancellation)));
    }

    private async Task CheckAsync(int[] indexes, int choice, CancellationToken cancellation)
    {
        while (true)
        {
            IReadOnlyList<Silo> silos = fleet.Silos;
            if (silos.Count > 0)
            {
                Silo gateway = silos[choice % silos.Count];
                using var client = new TextClient(gateway.Gateway, s_timeout);
                try
                {
                    (Dictionary<string, string>? found, string line) = await client.GetAsync([.. indexes.Select(KeyOf)]);
                    findings.CountOperations(indexes.Length);
                    if (found is not null)
                    {
                        foreach (int index in indexes)
                            Judge(index, found.GetValueOrDefault(KeyOf(index)), gateway);
                        return;
                    }

                    findings.NoteRefusal($"get of {indexes.Length} items through {gateway}: {line}");
                }
                catch (ConnectionLostException)
                {
                    findings.NoteCut();
                }
            }

            choice++;
            await Task.Delay(s_retryPause, cancellation);
        }
    }

    private void Judge(int index, string? value, Silo gateway)
    {
        if (value == ValueOf(index))
            return;
        if (value is not null)
        {
            findings.NoteForeign($"{KeyOf(index)} holds `{(value.Length <= 60 ? value : value[..60])}`, read through {gateway}");
            return;
        }

        lock (_lock)
        {
            if (_isMissing[index])
                return;
            _isMissing[index] = true;
        }

        findings.NoteMiss($"{KeyOf(index)}, read through {gateway}");
    }

    private static string KeyOf(int index) => string.Create(CultureInfo.InvariantCulture, $"constant-{index}");

    private static string ValueOf(int index) =>
        string.Create(CultureInfo.InvariantCulture, $"constant value {index} ").PadRight(30 + (index * 7 % 200), (char)('a' + (index % 26)));
}

using System.Diagnostics;

namespace OrleansCache.Testing;

/// <summary>Waits for what no event reports.</summary>
internal static class Wait
{
    /// <summary>Far beyond what anything takes, on a busy machine as well: reached only when something hangs.</summary>
    public static readonly TimeSpan TimeMax = TimeSpan.FromSeconds(30);

    /// <summary>Waits until the condition holds; fails with the message if it does not within <see cref="TimeMax"/>.</summary>
    public static Task UntilAsync(Func<bool> condition, string otherwise) => UntilAsync(condition, () => otherwise);

    public static async Task UntilAsync(Func<bool> condition, Func<string> otherwise)
    {
        var watch = Stopwatch.StartNew();
        while (!condition())
        {
            Assert.True(watch.Elapsed < TimeMax, $"waited in vain: {otherwise()}");
            await Task.Delay(2);
        }
    }
}

using System.Runtime.InteropServices;

namespace OrleansCache;

/// <summary>
/// Adds up and clears structs that consist of counters of 64 bits and of nothing else, so that a counter is declared once: as a field.
/// Counting is a plain increment on one thread; adding up may happen on any other, and sees each counter at a slightly different moment.
/// </summary>
public static class CounterSums
{
    /// <summary>Adds each counter of <paramref name="part"/> to the same one of <paramref name="sum"/>.</summary>
    public static void Add<T>(ref T sum, ref readonly T part)
        where T : unmanaged
    {
        Span<long> sums = MemoryMarshal.Cast<T, long>(new Span<T>(ref sum));
        ReadOnlySpan<long> parts = MemoryMarshal.Cast<T, long>(new ReadOnlySpan<T>(in part));
        for (int i = 0; i < sums.Length; i++)
            sums[i] += Volatile.Read(in parts[i]);
    }

    /// <summary>Sets all counters to 0. One that is being counted at this moment may keep its former number.</summary>
    public static void Clear<T>(ref T counters)
        where T : unmanaged
    {
        foreach (ref long counter in MemoryMarshal.Cast<T, long>(new Span<T>(ref counters)))
            Volatile.Write(ref counter, 0);
    }
}

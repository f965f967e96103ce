using System.Runtime.InteropServices;

namespace OrleansCache.Gateway.Buffers;

/// <summary>How the C library's allocator treats large blocks.</summary>
internal static partial class NativeHeap
{
    // M_MMAP_THRESHOLD and M_TRIM_THRESHOLD of glibc's malloc.h.
    private const int MapThreshold = -3;
    private const int TrimThreshold = -1;
    private const int LargeBytes = 128 * 1024;

    /// <summary>
    /// Large blocks go back to the system as soon as they are freed. glibc starts so, but raises its threshold with each large block that is freed, and then
    /// keeps the memory of a burst in its heaps; a number that is set stays. Other libraries: nothing happens.
    /// </summary>
    public static void ReturnLargeBlocks()
    {
        if (!OperatingSystem.IsLinux())
            return;
        try
        {
            _ = SetOption(MapThreshold, LargeBytes);
            _ = SetOption(TrimThreshold, LargeBytes);
        }
        catch (EntryPointNotFoundException)
        {
            // musl keeps no large blocks, and knows no options.
        }
    }

    [LibraryImport("libc", EntryPoint = "mallopt")]
    private static partial int SetOption(int option, int value);
}

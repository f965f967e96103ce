namespace OrleansCache.Silo.Hosting;

/// <summary>A file with a secret: one line of text, or bytes; white space around it does not count. A warning if others than its owner can read it.</summary>
internal static class SecretFile
{
    private const int BytesMin = 16;
    private const int BytesMax = 4096;

    /// <summary><paramref name="option"/> is named in what is said of the file, <paramref name="what"/> is what it holds.</summary>
    public static byte[] Read(string path, string option, string what)
    {
        byte[] bytes;
        try
        {
            using FileStream file = File.OpenRead(path);
            bytes = new byte[BytesMax + 1];
            int length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            bytes = bytes[..length];
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & (UnixFileMode.GroupRead | UnixFileMode.OtherRead)) != 0)
                Console.Error.WriteLine($"warning: {option}: {path} can be read by others than its owner (chmod 600)");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartException(ExitCode.Usage, $"{option}: {path}: {exception.Message}", exception);
        }

        ReadOnlySpan<byte> secret = bytes.AsSpan().Trim(" \t\r\n"u8);
        if (bytes.Length > BytesMax || secret.Length < BytesMin)
        {
            throw StartException.Usage(
                $"{option}: {path}: a {what} has {BytesMin} to {BytesMax} bytes (head -c 32 /dev/urandom | base64 makes one)");
        }

        return secret.ToArray();
    }
}

namespace OrleansCache.Silo.Cluster;

/// <summary>The file of --cluster-secret-file: one line of text, or bytes; white space around it does not count.</summary>
internal static class ClusterSecret
{
    private const int BytesMin = 16;
    private const int BytesMax = 4096;

    public static byte[] Read(string path)
    {
        byte[] bytes;
        try
        {
            using FileStream file = File.OpenRead(path);
            bytes = new byte[BytesMax + 1];
            int length = file.ReadAtLeast(bytes, bytes.Length, throwOnEndOfStream: false);
            bytes = bytes[..length];
            if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & (UnixFileMode.GroupRead | UnixFileMode.OtherRead)) != 0)
                Console.Error.WriteLine($"warning: --cluster-secret-file: {path} can be read by others than its owner (chmod 600)");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StartException(ExitCode.Usage, $"--cluster-secret-file: {path}: {exception.Message}", exception);
        }

        ReadOnlySpan<byte> secret = bytes.AsSpan().Trim(" \t\r\n"u8);
        if (bytes.Length > BytesMax || secret.Length < BytesMin)
        {
            throw StartException.Usage(
                $"--cluster-secret-file: {path}: a secret has {BytesMin} to {BytesMax} bytes (head -c 32 /dev/urandom | base64 makes one)");
        }

        return secret.ToArray();
    }
}

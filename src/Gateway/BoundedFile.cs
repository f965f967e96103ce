namespace OrleansCache.Gateway;

/// <summary>Reads small files whole. A path that leads to something huge or endless is an error, not memory.</summary>
internal static class BoundedFile
{
    /// <summary>Throws <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/>.</summary>
    public static byte[] Read(string path, int bytesMax)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            byte[] buffer = new byte[bytesMax + 1];
            int length = file.ReadAtLeast(buffer, buffer.Length, throwOnEndOfStream: false);
            return length <= bytesMax ? buffer[..length] : throw new IOException($"the file has more than {bytesMax} bytes");
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new IOException("no such file", failure);
        }
        catch (UnauthorizedAccessException failure)
        {
            throw new IOException(Directory.Exists(path) ? "it is a directory" : "permission denied", failure);
        }
    }
}

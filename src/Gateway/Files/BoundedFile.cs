namespace OrleansCache.Gateway.Files;

/// <summary>Reads small files whole. A path that leads to something huge or endless is an error, not memory.</summary>
internal static class BoundedFile
{
    /// <summary>Throws <see cref="IOException"/> or <see cref="UnauthorizedAccessException"/>.</summary>
    public static byte[] Read(string path, int bytesMax)
    {
        try
        {
            using FileStream file = new(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);

            // Some files tell no length, or the wrong one: then all of the limit.
            int room = file.CanSeek && file.Length is > 0 and var told && told <= bytesMax ? (int)told + 1 : bytesMax + 1;
            byte[] buffer = new byte[room];
            int length = file.ReadAtLeast(buffer, room, throwOnEndOfStream: false);
            if (length == room)
                throw new IOException(room > bytesMax ? $"the file has more than {bytesMax} bytes" : "the file changes while it is read");
            byte[] text = buffer[..length];

            // It may be secret: one copy is enough.
            Array.Clear(buffer);
            return text;
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

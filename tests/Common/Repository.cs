namespace OrleansCache.Testing;

/// <summary>Where the repository lies.</summary>
internal static class Repository
{
    public static string Root { get; } = FindRoot();

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "OrleansCache.sln")))
                return folder.FullName;
        }

        throw new InvalidOperationException("OrleansCache.sln stands in no folder above the tests.");
    }
}

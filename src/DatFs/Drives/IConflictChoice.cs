namespace DatFs.Drives;

/// <summary>Decides which of several versions of one path is shown where the default rule is not wanted (hyperdb-multiwriter.md §16). Pure: asked often, by any thread.</summary>
public interface IConflictChoice
{
    /// <summary>The side to be shown, or null for what the default rule says: the later, then the larger key.</summary>
    /// <param name="path">The path.</param>
    /// <param name="sides">At least two versions with content, in order of writer's key.</param>
    DriveSide? Choose(DrivePath path, IReadOnlyList<DriveSide> sides);
}
